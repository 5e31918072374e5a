/** The edges of the map: curves between its nodes, drawn anew when nodes move, lit while events arrive. */

import { $, draw } from "../dom.js";

const LIT = 900; // ms
let bySignal = new Map(), pinned = "";
const lit = new Map(); // elements, and when they go out
const litSignals = new Map(); // the same of signals, whose edges may be drawn anew

/**
 * Draw the edges of these links, each `{signal, from, to, failing}` with two elements.
 *
 * Links between the same two elements share an edge: those of a group that is closed.
 */
export function drawEdges(links) {
  const picture = $("map-edges"), frame = $("map-body").getBoundingClientRect();
  picture.setAttribute("viewBox", `0 0 ${frame.width.toFixed(0)} ${frame.height.toFixed(0)}`);
  const boxes = new Map(), paths = new Map(), numbers = new Map();
  const box = (element) => {
    if (!boxes.has(element)) {
      numbers.set(element, numbers.size);
      boxes.set(element, element.getBoundingClientRect());
    }
    return boxes.get(element);
  };
  bySignal = new Map();
  for (const { signal, from, to, failing } of links) {
    const a = box(from), b = box(to), key = `${numbers.get(from)} ${numbers.get(to)}`;
    if (!paths.has(key)) {
      const x1 = a.right - frame.left, y1 = a.top - frame.top + Math.min(a.height, 26) / 2;
      const x2 = b.left - frame.left, y2 = b.top - frame.top + Math.min(b.height, 26) / 2, bend = Math.max(14, (x2 - x1) / 2);
      paths.set(key, draw("path", { d: `M${x1.toFixed(1)} ${y1.toFixed(1)}C${(x1 + bend).toFixed(1)} ${y1.toFixed(1)} ` +
        `${(x2 - bend).toFixed(1)} ${y2.toFixed(1)} ${x2.toFixed(1)} ${y2.toFixed(1)}` }));
    }
    const path = paths.get(key);
    if (failing) path.classList.add("failing");
    if (!bySignal.has(signal)) bySignal.set(signal, new Set());
    for (const element of [path, from, to]) bySignal.get(signal).add(element);
  }
  for (const element of bySignal.get(pinned) || []) element.classList.add("pinned");
  // Those that are followed are on top of the others.
  picture.replaceChildren(...[...paths.values()].sort((a, b) => a.classList.contains("pinned") - b.classList.contains("pinned")));
  for (const [signal, until] of litSignals) lightUntil(signal, until);
}

function lightUntil(signal, until) {
  for (const element of bySignal.get(signal) || []) {
    element.classList.add("lit");
    lit.set(element, until);
  }
}

/** Light the edges of a signal, and the nodes at their ends. */
export function light(signal) {
  const until = performance.now() + LIT;
  litSignals.set(signal, until);
  lightUntil(signal, until);
}

/** Put out what was lit long enough ago. */
export function putOut() {
  const now = performance.now();
  for (const [signal, until] of litSignals) if (until <= now) litSignals.delete(signal);
  for (const [element, until] of lit) {
    if (until > now) continue;
    element.classList.remove("lit");
    lit.delete(element);
  }
}

/** Show the edges of one signal alone; of none: all. */
export function pinEdges(signal) {
  for (const element of bySignal.get(pinned) || []) element.classList.remove("pinned");
  pinned = signal;
  for (const element of bySignal.get(pinned) || []) element.classList.add("pinned");
  $("map-body").classList.toggle("pinning", Boolean(signal));
}
