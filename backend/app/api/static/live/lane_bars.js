/** The bars of a lane: queue grey, steps in their agent's colour, model time solid, backoff hatched, tools thin. */

import { draw } from "../dom.js";
import { seconds, words } from "../format.js";

const ROW = 22, GAP = 3, TOP = 3;
const COLOURS = 6;
const colours = new Map();

/** Return the number of an agent's colour, 1 to 6: by its name, so that a reload leaves it, or the next one that is free. */
export function colourOf(agent) {
  if (!colours.has(agent)) {
    let at = [...agent].reduce((sum, letter) => (sum * 37 + letter.codePointAt(0)) % 9973, 0) % COLOURS;
    const taken = new Set(colours.values());
    for (let tried = 0; tried < COLOURS && taken.has(at + 1); tried += 1) at = (at + 1) % COLOURS;
    colours.set(agent, at + 1);
  }
  return colours.get(agent);
}

export const agents = () => [...colours.keys()];

export const heightOf = (run) => TOP + (1 + Math.max(0, ...run.executions.map((one) => one.row))) * (ROW + GAP);

function box(kind, x, y, width, height, title) {
  return draw("rect", { class: kind, x: x.toFixed(1), y, width: Math.max(1.5, width).toFixed(1), height, rx: 2 },
    title ? draw("title", {}, title) : null);
}

function label(text, x, y, width) {
  const fits = Math.floor((width - 8) / 7);
  if (fits < 1) return null;
  const short = text.length <= fits ? text : fits < 4 ? text[0] : `${text.slice(0, fits - 1)}…`;
  return draw("text", { x: (x + 5).toFixed(1), y: y + 15, class: "bar-label" }, short);
}

/** Return the elements of a run's bars; x is in pixels from the moment `origin`, `scale` pixels a second. */
export function bars(run, origin, scale, now) {
  const x = (time) => (time - origin) * scale;
  const made = [];
  const started = run.startedAt ?? (run.status === "queued" ? now : run.queuedAt);
  if (run.queuedAt !== null && started - run.queuedAt > 0.05) {
    const wide = (started - run.queuedAt) * scale;
    made.push(box("queue", x(run.queuedAt), TOP + 6, wide, ROW - 12, `queued for ${seconds(started - run.queuedAt)}`));
  }
  if (run.startedAt !== null) {
    const end = run.endedAt ?? now;
    made.push(box("span", x(run.startedAt), TOP + ROW / 2 - 1, (end - run.startedAt) * scale, 2, null));
  }
  for (const one of run.executions) made.push(bar(one, x, scale, now));
  if (run.endedAt !== null && run.status !== "completed") {
    made.push(draw("text", { class: "end bad", x: (x(run.endedAt) + 4).toFixed(1), y: TOP + 15 },
      run.status === "cancelled" ? "⊘" : "✕"));
  }
  return made;
}

function bar(one, x, scale, now) {
  const y = TOP + one.row * (ROW + GAP), end = one.end ?? now, wide = (end - one.start) * scale;
  const name = words(one.step || one.agent);
  const group = draw("g", { class: `step agent-${colourOf(one.agent)}${one.end === null ? " open" : ""}` },
    draw("title", {}, `${name}: ${seconds(end - one.start)}${one.status ? `, ${one.status}` : one.end === null ? ", running" : ""}`),
    box("envelope", x(one.start), y, wide, ROW, null));
  for (const piece of one.pieces) group.append(shape(piece, x, scale, y));
  if (one.call) group.append(box("model", x(one.call.since), y, (now - one.call.since) * scale, ROW, `${one.call.model}: under way`));
  const text = label(name, x(one.start), y, wide);
  if (text) group.append(text);
  if (one.status && one.status !== "success" && one.status !== "released") {
    group.append(draw("text", { class: "end bad", x: (x(end) - 12).toFixed(1), y: y + 15 }, one.status === "cancelled" ? "⊘" : "✕"));
  }
  return group;
}

function shape(piece, x, scale, y) {
  const wide = (piece.end - piece.start) * scale, took = seconds(piece.end - piece.start);
  switch (piece.kind) {
    case "tool": return box("tool", x(piece.start), y + ROW - 5, wide, 5, `tool ${piece.tool}: ${took}${piece.failed ? ", failed" : ""}`);
    case "backoff": return box("backoff", x(piece.start), y, wide, ROW, `waited ${took} before the next attempt`);
    case "wait": return box("queue", x(piece.start), y + 6, wide, ROW - 12, `waited ${took} in a queue for the model`);
    default: return box(`model${piece.failed ? " failed-attempt" : ""}`, x(piece.start), y, wide, ROW,
      `${piece.model}: ${took}${piece.failed ? ", failed" : ""}`);
  }
}

/** Return a run in words, for whoever does not see its bars. */
export function described(run, now) {
  const parts = run.executions.map((one) => {
    const model = one.pieces.filter((piece) => piece.kind === "model").reduce((sum, piece) => sum + piece.end - piece.start, 0);
    const waited = one.pieces.filter((piece) => piece.kind === "backoff").reduce((sum, piece) => sum + piece.end - piece.start, 0);
    return `${words(one.step || one.agent)} ${seconds((one.end ?? now) - one.start)}` +
      `${model ? `, of these ${seconds(model)} in the model` : ""}${waited ? `, ${seconds(waited)} waiting to try again` : ""}` +
      ` (${one.status || (one.end === null ? "running" : "ended")})`;
  });
  const queued = run.queuedAt !== null && run.startedAt !== null ? `queued for ${seconds(run.startedAt - run.queuedAt)}` : "";
  return [queued, ...parts].filter(Boolean).join("; ") || "no step yet";
}
