/** Charts by uPlot, a tab a subject: lines of the last 15 minutes with a table of what they are. */

import { $, make, write } from "../dom.js";
import { inUnit, NONE, timeOfDay, words } from "../format.js";
import { chosenSeries, piled } from "./chart_data.js";
import { history, seriesOf } from "./history.js";
import { query } from "./tiles.js";

const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3], [4, 2], [1, 4], [12, 5], [6, 2, 1, 2]];
const COLOURS = 6;
let specs = [], tab = "", shown = [];

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colour = (at) => css(`--c${(at % COLOURS) + 1}`);

// The one series of an expression that is parted by no label.
const nameOf = (name, spec) => (name === "value" || !name ? spec.title : words(name));

class Chart {
  constructor(spec) {
    this.spec = spec;
    this.names = "";
    this.plot = null;
    this.at = null; // the index under the cursor
    this.canvas = make("div", { class: "canvas", role: "img" });
    this.head = make("th", { scope: "col", class: "number" }, "now");
    this.rows = make("tbody");
    this.more = make("p", { class: "hint" });
    this.element = make("figure", { class: "chart", "data-chart": spec.id },
      make("figcaption", {}, make("h3", {}, spec.title), make("span", { class: "unit" }, spec.unit === "ratio" ? "%" : spec.unit)), this.canvas,
      make("table", { class: "legend" }, make("caption", { class: "offscreen" }, `Series of ${spec.title}`),
        make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Series"), this.head, make("th", { scope: "col", class: "number" }, "most"))), this.rows),
      spec.help ? make("p", { class: "hint" }, spec.help) : null, this.more, query(spec.title, spec.promql));
  }

  update() {
    const [series, left] = chosenSeries(seriesOf(this.spec.id));
    this.series = series;
    const lines = this.spec.kind === "stack" ? piled(series).reverse() : series;
    const data = [history.times, ...lines.map(([, points]) => points)];
    const names = series.map(([name]) => name).join("\n");
    if (names !== this.names || !this.plot) this.rebuild(names, data);
    else this.plot.setData(data);
    write(this.more, left > 0 ? `and ${left} more series: the 8 largest are drawn` : series.length ? "" : "Nothing has been measured yet.");
    this.legend();
  }

  rebuild(names, data) {
    this.close();
    this.names = names;
    this.rows.replaceChildren(...this.series.map(([name], at) => make("tr", {},
      make("th", { scope: "row" }, make("span", { class: `line-mark c${(at % COLOURS) + 1} ${this.spec.kind === "stack" ? "pile" : `d${at % DASHES.length}`}`, "aria-hidden": "true" }), nameOf(name, this.spec)),
      make("td", { class: "number" }), make("td", { class: "number" }))));
    this.plot = new uPlot(this.options(), data, this.canvas);
  }

  options() {
    const stacked = this.spec.kind === "stack", count = this.series.length, unit = this.spec.unit;
    const axis = { stroke: css("--soft"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line"), width: 1 }, font: "12px system-ui, sans-serif" };
    return {
      width: Math.max(200, this.canvas.clientWidth), height: 170, legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false } },
      scales: { x: { time: true }, y: { range: (_, least, most) => [Math.min(0, least || 0), most > 0 ? most * 1.05 : 1] } },
      axes: [{ ...axis, size: 32, space: 70, values: (_, times) => times.map((time) => timeOfDay(time).slice(0, times[1] - times[0] < 60 ? 8 : 5)) },
        { ...axis, size: (_, values) => 22 + 7 * Math.max(4, ...(values || []).map((value) => value.length)), values: (_, values) => values.map((value) => inUnit(value, unit.startsWith("USD") || unit.length > 7 ? "" : unit)) }],
      series: [{}, ...Array.from({ length: count }, (_, place) => {
        const at = stacked ? count - 1 - place : place;
        return { stroke: colour(at), width: stacked ? 1 : 2, dash: stacked ? undefined : DASHES[at % DASHES.length],
          fill: stacked ? colour(at) : undefined, points: { show: false }, spanGaps: false };
      })],
      hooks: { setCursor: [(plot) => { this.at = plot.cursor.idx ?? null; if (plot.cursor.left < 0) this.at = null; this.legend(); }] },
    };
  }

  legend() {
    write(this.head, this.at === null ? "now" : timeOfDay(history.times[this.at] || 0));
    const said = this.series.map(([name, points], at) => {
      const [value, most] = this.rows.children[at]?.querySelectorAll("td") || [];
      const numbers = points.filter((each) => each !== null);
      const now = this.at === null ? points.at(-1) : points[this.at];
      if (!value) return "";
      write(value, inUnit(now, this.spec.unit));
      write(most, numbers.length ? inUnit(Math.max(...numbers), this.spec.unit) : NONE);
      return `${nameOf(name, this.spec)} ${value.textContent}`;
    });
    this.canvas.setAttribute("aria-label", `${this.spec.title} over the last 15 minutes; the table below has the numbers. ${said.slice(0, 3).join(", ")}`);
  }

  resize() {
    if (this.plot) this.plot.setSize({ width: Math.max(200, this.canvas.clientWidth), height: 170 });
  }

  close() {
    this.plot?.destroy();
    this.plot = null;
  }
}

/** Take the charts that the server names, and the findings of its doctor. */
export function buildCharts(charts, findings) {
  specs = charts;
  $("findings").replaceChildren(...(findings.length
    ? findings.map(({ fault, advice }) => make("li", {}, make("b", {}, `✕ ${fault}`), make("p", {}, advice)))
    : [make("li", { class: "good" }, "✓ The doctor finds nothing wrong with the pipeline.")]));
  select(tab || "queue");
}

function select(name) {
  tab = name;
  for (const one of document.querySelectorAll("#tabs [role=tab]")) {
    const chosen = one.dataset.tab === name;
    one.setAttribute("aria-selected", String(chosen));
    one.tabIndex = chosen ? 0 : -1;
    if (chosen) $("charts").setAttribute("aria-labelledby", one.id);
  }
  for (const chart of shown) chart.close();
  shown = specs.filter((spec) => spec.tab === name).map((spec) => new Chart(spec));
  $("chart-list").replaceChildren(...shown.map((chart) => chart.element));
  $("findings").hidden = name !== "pipeline";
  updateCharts();
}

/** Draw what came since. */
export function updateCharts() {
  for (const chart of shown) chart.update();
}

/** Listen to the tabs, the window and the choice of colours. */
export function startCharts() {
  const tabs = [...document.querySelectorAll("#tabs [role=tab]")];
  tabs.forEach((one, at) => {
    one.addEventListener("click", () => select(one.dataset.tab));
    one.addEventListener("keydown", (event) => {
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const next = tabs[(to + tabs.length) % tabs.length];
      select(next.dataset.tab);
      next.focus();
    });
  });
  addEventListener("resize", () => shown.forEach((chart) => chart.resize()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const chart of shown) chart.close();
    updateCharts();
  });
}
