/** What the map says of the node under the pointer or with the focus. */

import { make } from "../dom.js";
import { number, words } from "../format.js";

const facts = (pairs) => make("dl", {}, pairs.filter(([, value]) => value !== "").map(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
const listed = (names) => (names.length ? names.join(", ") : "none");
const title = (name, kind) => make("p", { class: "detail-title" }, make("code", {}, name), ` ${kind}`);

export function describeSignal(signal, { instruments, listeners }) {
  const updates = [...instruments.values()].filter((one) => one.signals.includes(signal.name)).map((one) => one.family);
  const received = [...listeners.values()].filter((one) => one.signals.includes(signal.name)).map((one) => words(one.name));
  return [title(signal.name, "signal"), facts([
    ["Emitted", signal.count ? `${number(signal.count)} times since the processes started` : "never since the processes started"],
    ["Updates", listed(updates)], ["Listeners", listed(received)]])];
}

export function describeInstrument(one) {
  return [title(one.family, one.type), facts([["Row", one.help], ["Labels", listed(one.labels)], ["Signals", one.signals.includes("*") ? "every one" : listed(one.signals)],
    ["Series", one.limit ? `${number(one.series)} of ${number(one.limit)} at most` : number(one.series)]])];
}

export function describeListener(one) {
  return [title(words(one.name), `listener${one.kind ? `, ${words(one.kind)}` : ""}`), facts([
    ["Listens to", `${one.signals.length} signal${one.signals.length === 1 ? "" : "s"}: ${listed(one.signals)}`],
    ["Failed", one.failures ? `✕ ${number(one.failures)} times; the code that emits did not notice` : "never"]])];
}

export function describeGroup(group) {
  return [title(words(group.name), "group"), facts([["Signals", listed(group.signals.map((one) => one.name))],
    ["Instruments", number(group.instruments.length)]])];
}
