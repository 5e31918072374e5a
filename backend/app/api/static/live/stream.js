/** The event stream: the last 500 events that fit the filter, with two of their fields and their run. */

import { $, make } from "../dom.js";
import { cost, number, seconds, shortId, timeOfDay, tokens } from "../format.js";

const KEPT = 500;
const BAD = new Set(["error", "timeout", "failed", "abandoned", "rate_limited", "server_error", "rejected"]);
const SECOND_NATURE = new Set(["run_id", "execution_id", "call_id", "worker_id", "workflow_type"]);
const FIRST = ["step", "agent_name", "tool_name", "endpoint", "component", "error_type", "status", "outcome", "verdict", "up", "model",
  "duration", "prompt_tokens", "size", "reason", "limit", "receiver"];
// Their values say what they are.
const BARE = new Set(["step", "agent_name", "tool_name", "model", "endpoint", "status", "outcome", "verdict", "duration",
  "prompt_tokens", "error_type", "component", "up"]);

const records = [];
let waiting = [], paused = false, drawing = false, words = [], onSignal = () => {}, onRun = () => {};

function shown(name, value) {
  if (/^duration$|^backoff$|_wait$|_time$|^time_|^retry_after$/.test(name)) return seconds(value);
  if (name.endsWith("cost")) return cost(value);
  if (name.endsWith("_tokens")) return tokens(value);
  if (name === "up") return value ? "up" : "down";
  return typeof value === "number" ? number(value) : String(value);
}

/** Return the two fields of an event that say most of it. */
export function keyFields({ fields }) {
  const names = Object.keys(fields).filter((name) => !SECOND_NATURE.has(name) && fields[name] !== null && fields[name] !== "" &&
    !(name === "agent_name" && fields.step));
  const rank = (name) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  const sorted = names.sort((a, b) => rank(a) - rank(b)).map((name) => [name, shown(name, fields[name])]);
  return sorted.filter(([, value], at) => at === 0 || value !== sorted[0][1]).slice(0, 2);
}

const isBad = ({ fields }) => [fields.status, fields.outcome, fields.verdict].some((value) => BAD.has(value)) || fields.up === 0;

function text(record) {
  return `${record.signal} ${Object.entries(record.fields).map(([name, value]) => `${name}=${value}`).join(" ")}`.toLowerCase();
}

const fits = (record) => words.every((word) => (word.startsWith("-") ? !record.text.includes(word.slice(1)) : record.text.includes(word)));

function row(record) {
  const bad = isBad(record), run = record.fields.run_id;
  const fields = keyFields(record).map(([name, value]) => make("span", { class: "field", title: name }, BARE.has(name) ? null : make("b", {}, `${name} `), value))
    .flatMap((field) => [field, " "]); // without a space they would be read and copied as one word
  return make("tr", { class: bad ? "bad" : null, "data-signal": record.signal },
    make("td", { class: "time" }, timeOfDay(record.time, true)),
    make("td", {}, bad ? make("span", { class: "sign" }, "✕ ", make("span", { class: "offscreen" }, "failed: ")) : null,
      make("button", { type: "button", class: "plain", title: "Follow it in the map", "data-follow": record.signal }, record.signal)),
    make("td", {}, fields),
    make("td", {}, run ? make("button", { type: "button", class: "plain", "aria-label": `Run ${shortId(run)}`, "data-lane": run }, shortId(run)) : ""));
}

/** Take up an event. */
export function addToStream(record) {
  record.text = text(record);
  if (paused) {
    waiting.push(record);
    if (waiting.length > KEPT) waiting.shift();
    say();
    return;
  }
  records.unshift(record);
  if (records.length > KEPT) records.length = KEPT;
  waiting.push(record);
  soon();
}

function soon() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => { drawing = false; draw(); });
}

function draw() {
  const list = $("events");
  const fresh = waiting.slice(-KEPT).filter(fits);
  waiting = [];
  // Newest first; whoever has scrolled down goes on reading where they are.
  const box = $("stream-scroll"), before = box.scrollHeight, reading = box.scrollTop > 4;
  for (const record of fresh) list.prepend(row(record));
  while (list.children.length > KEPT) list.lastElementChild.remove();
  if (reading) box.scrollTop += box.scrollHeight - before;
  say();
}

function say() {
  const count = $("events").children.length;
  $("stream-count").textContent = paused
    ? `Paused: ${waiting.length} new` : !count && records.length ? `None of the last ${records.length} events fits the filter`
      : `${count} of the last ${records.length} event${records.length === 1 ? "" : "s"}`;
}

/** Show the stream as the filter has it now. */
export function filterStream() {
  words = $("filter").value.toLowerCase().split(/\s+/).filter((word) => word && word !== "-");
  $("events").replaceChildren(...records.filter(fits).map(row));
  say();
}

export function pauseStream(on) {
  paused = on;
  const button = $("stream-pause");
  button.setAttribute("aria-pressed", String(on));
  if (!on) {
    for (const record of waiting) records.unshift(record);
    if (records.length > KEPT) records.length = KEPT;
    soon();
  }
  say();
}

/** Listen to the filter and the buttons; `followed` is called with a signal's name, `opened` with a run's id. */
export function startStream({ followed, opened }) {
  [onSignal, onRun] = [followed, opened];
  $("filter").addEventListener("input", filterStream);
  $("stream-pause").addEventListener("click", () => pauseStream(!paused));
  $("events").addEventListener("click", ({ target }) => {
    const { follow, lane } = target.closest("button")?.dataset || {};
    if (follow) onSignal(follow);
    if (lane) onRun(lane);
  });
}
