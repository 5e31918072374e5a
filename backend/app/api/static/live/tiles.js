/** The tiles: one number each, its last minutes as a line, and the PromQL that asks a Prometheus for the same. */

import { $, copyButton, draw, make, write } from "../dom.js";
import { amount, inUnit, NONE, words } from "../format.js";
import { seriesOf } from "./history.js";

const WIDE = 120, HIGH = 30;
const tiles = new Map(); // by id

/** Return the PromQL in one line that opens to its whole text, with a button that copies it. */
export function query(title, promql) {
  return make("div", { class: "query" },
    make("details", {}, make("summary", {}, make("span", { class: "offscreen" }, `PromQL of ${title}: `), make("code", {}, promql))),
    copyButton(`Copy the PromQL of ${title}`, promql));
}

/** Build the tiles that the server names. */
export function buildTiles(list) {
  tiles.clear();
  $("tiles").replaceChildren(...list.map((tile) => {
    const value = make("span", { class: "value" }, NONE), unit = make("span", { class: "unit" }), rest = make("span", { class: "rest" });
    const line = draw("polyline", { class: "spark" }), area = draw("polygon", { class: "spark-area" });
    const picture = draw("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", "aria-hidden": "true" }, area, line);
    tiles.set(tile.id, { ...tile, value, unitText: unit, rest, line, area });
    return make("li", { class: "tile", "data-tile": tile.id },
      make("h3", {}, tile.title), make("p", { class: "amount" }, value, " ", unit, " ", rest), picture,
      make("p", { class: "hint" }, tile.help), query(tile.title, tile.promql));
  }));
}

/** Show what came this second. */
export function updateTiles(values) {
  for (const tile of tiles.values()) {
    const series = Object.entries(values[tile.id] || {});
    if (!series.length) continue;
    const [[, first], ...others] = series;
    const [value, unit] = amount(first, tile.unit);
    write(tile.value, value);
    write(tile.unitText, unit);
    write(tile.rest, others.map(([name, more]) => `${words(name)} ${more === null ? NONE : second(name, more, tile)}`).join(" · "));
    spark(tile);
  }
}

// A second number of the same unit needs none.
const second = (name, value, { unit, units = {} }) => (units[name] ? inUnit(value, units[name]) : amount(value, unit)[0]);

function spark(tile) {
  const points = seriesOf(tile.id)[0]?.[1] || [];
  const numbers = points.filter((value) => value !== null);
  const top = Math.max(...numbers, 0) || 1, least = Math.min(...numbers, 0);
  const every = Math.max(1, Math.floor(points.length / WIDE)), shown = [];
  for (let at = 0; at < points.length; at += every) {
    if (points[at] === null) continue;
    const y = HIGH - 2 - ((points[at] - least) / (top - least)) * (HIGH - 4);
    shown.push(`${((at / Math.max(1, points.length - 1)) * WIDE).toFixed(1)},${y.toFixed(1)}`);
  }
  tile.line.setAttribute("points", shown.join(" "));
  const from = shown[0]?.split(",")[0] || 0, to = shown.at(-1)?.split(",")[0] || 0;
  tile.area.setAttribute("points", shown.length ? `${from},${HIGH} ${shown.join(" ")} ${to},${HIGH}` : "");
}
