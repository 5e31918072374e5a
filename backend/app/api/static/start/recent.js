/** The recent runs: a table that follows what happens. */

import { ENDED, listRuns } from "../api.js";
import { $, arrange, make, state, write } from "../dom.js";
import { cost, NONE, number, words } from "../format.js";
import { place, readQueue } from "./queue.js";
import { took } from "./run_view.js";
import { modelsOf } from "./seen.js";

const HEAD = ["Queued", "Workflow", "Brand", "State", "Model", "Took", "Tokens", "Cost", ""];
const rows = new Map(); // by run id
let items = [], body = null, choose = () => {};

const moment = (text) => (text ? new Date(text).toLocaleString() : "");

function build() {
  body = make("tbody");
  const head = HEAD.map((name, at) => make("th", { scope: "col", class: at > 4 ? "number" : null }, name || make("span", { class: "offscreen" }, "Details")));
  $("runs").replaceChildren(make("table", { "aria-labelledby": "recent-title" }, make("thead", {}, make("tr", {}, head)), body));
}

function rowOf(run) {
  if (rows.has(run.run_id)) return rows.get(run.run_id);
  const open = make("button", { class: "small", type: "button", "aria-label": `Show ${words(run.workflow_type)} for ${run.brand}` }, "Show");
  open.addEventListener("click", () => choose(run.run_id));
  const cells = [moment(run.queued_at), words(run.workflow_type), run.brand, "", "", "", "", ""].map((text, at) =>
    make("td", { class: at > 4 ? "number" : null }, text));
  const row = { element: make("tr", { "data-run": run.run_id }, cells, make("td", { class: "number" }, open)), cells, state: "" };
  rows.set(run.run_id, row);
  return row;
}

function draw() {
  if (!items.length) return;
  if (!body) build();
  arrange(body, items.map((run) => rowOf(run).element));
  for (const run of items) {
    const row = rowOf(run), said = `${run.status}${run.status === "queued" ? place(run.run_id) : ""}`;
    if (row.state !== said) {
      row.state = said;
      row.cells[3].replaceChildren(state(run.status), said.slice(run.status.length));
    }
    write(row.cells[4], modelsOf(run.run_id) || NONE);
    write(row.cells[5], took(run) || NONE);
    write(row.cells[6], number(run.tokens.total));
    write(row.cells[7], run.cost === null ? NONE : cost(run.cost));
  }
  for (const id of rows.keys()) if (!items.some((run) => run.run_id === id)) rows.delete(id);
}

/** Fetch the recent runs and show them. */
export async function recent() {
  try {
    const page = await listRuns({ limit: 10 });
    items = page.items;
    if (items.some((run) => run.status === "queued")) await readQueue();
    write($("recent-problem"), "");
    if (!items.length) $("runs").replaceChildren("None yet.");
    else draw();
  } catch (error) {
    write($("recent-problem"), error.message);
  }
}

/** Count on how long the running ones have taken. */
export function tickRecent() {
  if (body && items.some((run) => !ENDED.includes(run.status))) draw();
}

/** Say what happens when a run is chosen. */
export function startRecent(chosen) {
  choose = chosen;
  $("refresh").addEventListener("click", recent);
}
