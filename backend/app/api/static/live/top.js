/** The strip at the top: parts, version, uptime, the feed's state, ten runs at once, and the pause. */

import { API, ask, newKey, startRun } from "../api.js";
import { $, make, write } from "../dom.js";
import { number, seconds, words } from "../format.js";
import { clock } from "./clock.js";

const TEN = 10;
const BRIEF = { product: "wireless earbuds", features: ["noise cancelling"], audience: "commuters", brand: "Acme Audio" };
let startedAt = null, told = "";

/** Show which build the server runs. */
export function showServer(server) {
  startedAt = typeof server.started_at === "string" ? Date.parse(server.started_at) / 1000 : server.started_at;
  const revision = server.revision && server.revision !== "unknown" ? ` (${String(server.revision).slice(0, 7)})` : "";
  write($("version"), `version ${server.version}${revision}`);
  write($("capacity"), `${plural(server.processes, "process", "processes")}, ${plural(server.slots, "slot", "slots")}`);
}

const plural = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;

/** Show what came this second: the parts that the studio needs, and how long it has been up. */
export function showParts({ components = {}, uptime }) {
  const up = uptime ?? (startedAt === null ? null : clock.now() - startedAt);
  write($("uptime"), up === null ? "" : `up for ${seconds(up)}`);
  const now = JSON.stringify(components);
  if (now === told) return; // a live region: only what changes is read out
  told = now;
  $("parts").replaceChildren(...Object.entries(components).map(([name, works]) =>
    make("li", { class: works ? "part up" : "part down", "data-part": name },
      make("span", { "aria-hidden": "true" }, works ? "✓ " : "✕ "), `${words(name)} ${works ? "up" : "down"}`)));
}

/** Show the state of the feed, and how far it reaches. */
export function showFeed(name, message) {
  const feed = $("feed");
  feed.className = `feed ${name}`;
  // What the page still shows is what was true when the feed broke off.
  if (name === "waiting" || name === "open") {
    document.body.classList.toggle("stale", name === "waiting");
    $("ten").disabled = name === "waiting";
  }
  write(feed, message);
}

const REACH = { process: "of this process", workers: "of all workers", hosts: "of all hosts" };

export function showReach({ reach, processes, missed, resumed }) {
  const lost = resumed && missed ? `; ${plural(missed, "event", "events")} missed` : "";
  write($("reach"), `events ${REACH[reach] || ""}${processes > 1 ? ` (${processes} processes)` : ""}${lost}`);
}

async function startTen() {
  const button = $("ten");
  button.disabled = true;
  write($("told"), "");
  let started = 0;
  try {
    const workflows = (await ask(`${API}/workflows`)).items.map((one) => one.name);
    for (let at = 0; at < TEN; at += 1) {
      await startRun(workflows[at % workflows.length], JSON.stringify(BRIEF), newKey());
      started += 1;
    }
    write($("told"), "Ten runs are started.");
  } catch (error) {
    write($("told"), `${started} of ten runs are started: ${error.message}`);
  }
  button.disabled = false;
  button.focus({ preventScroll: true });
}

/** Listen to the buttons; `paused` is called with whether the page stands still. */
export function startTop({ paused }) {
  $("ten").addEventListener("click", startTen);
  $("pause").addEventListener("click", () => {
    const on = $("pause").getAttribute("aria-pressed") !== "true";
    $("pause").setAttribute("aria-pressed", String(on));
    document.body.classList.toggle("paused", on);
    paused(on);
  });
}
