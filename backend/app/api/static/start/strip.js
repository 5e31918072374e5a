/** A strip of the live page: the parts that the studio needs, and some of its numbers. */

import { API, ask } from "../api.js";
import { $, make, write } from "../dom.js";
import { inUnit, words } from "../format.js";

const SHOWN = ["runs", "slots", "queue", "tokens", "cost"]; // tiles, of those that the live page has
const numbers = new Map(); // by id
let told = "";

/** Build the strip; without a live page there is none. */
export async function buildStrip() {
  try {
    const live = await ask(`${API}/live`);
    $("strip-numbers").replaceChildren(...live.tiles.filter((tile) => SHOWN.includes(tile.id)).map((tile) => {
      const value = make("b", {}, "–");
      numbers.set(tile.id, { tile, value });
      return make("li", {}, value, " ", make("span", { class: "soft" }, tile.title));
    }));
    $("strip").hidden = false;
    showNumbers({ values: Object.fromEntries(Object.entries(live.history.values).map(([id, series]) =>
      [id, Object.fromEntries(Object.entries(series).map(([name, points]) => [name, points.at(-1) ?? null]))])) });
  } catch {
    $("strip").hidden = true;
  }
}

/** Show what came this second. */
export function showNumbers({ values = {}, components }) {
  for (const [id, { tile, value }] of numbers) {
    const first = Object.values(values[id] || {})[0];
    if (first !== undefined) write(value, inUnit(first, tile.unit));
  }
  const now = JSON.stringify(components || {});
  if (!components || now === told) return;
  told = now;
  $("strip-parts").replaceChildren(...Object.entries(components).map(([name, works]) => make("li", { class: works ? "part up" : "part down" },
    make("span", { "aria-hidden": "true" }, works ? "✓ " : "✕ "), `${words(name)} ${works ? "up" : "down"}`)));
}
