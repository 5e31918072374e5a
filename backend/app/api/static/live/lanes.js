/** The runs as swimlanes: one row a run, its bars against the time of day. */

import { $, arrange, draw, make, markOf, write } from "../dom.js";
import { cost, seconds, shortId, timeOfDay, tokens, words } from "../format.js";
import { clock } from "./clock.js";
import { agents, bars, colourOf, described, heightOf } from "./lane_bars.js";
import { closePanel, panelOf, refreshPanel } from "./run_panel.js";
import { ordered, runs } from "./runs.js";

const MOST_QUEUED = 5, MOST_ENDED = 24;
const lanes = new Map(); // by run id
let span = 60, width = 600, shownAgents = "";

class Lane {
  constructor(id) {
    this.id = id;
    this.drawn = "";
    this.name = make("span", { class: "lane-type" });
    this.short = make("span", { class: "lane-id" }, shortId(id));
    this.state = make("span", { class: "state" });
    this.button = make("button", { type: "button", class: "lane-open", "aria-expanded": "false" }, this.state, this.name, this.short);
    this.button.addEventListener("click", () => this.toggle());
    this.group = draw("g");
    this.picture = draw("svg", { role: "img", class: "bars" }, this.group);
    this.outcome = make("span");
    this.spent = make("span");
    this.facts = make("span", { class: "lane-facts" }, this.outcome, this.spent);
    this.row = make("li", { class: "lane", "data-run": id }, this.button, this.picture, this.facts);
  }

  toggle(open = !this.panel) {
    if (this.panel) closePanel(this.id);
    this.panel = open ? panelOf(this.id) : null;
    this.button.setAttribute("aria-expanded", String(open));
    this.row.querySelector(":scope > .panel")?.remove();
    if (this.panel) this.row.append(this.panel);
  }

  update(run, now) {
    const open = run.executions.some((one) => one.end === null) || run.endedAt === null;
    const drawn = `${run.version} ${width} ${span} ${run.place}`;
    const scale = width / span, origin = run.queuedAt ?? run.startedAt ?? now;
    this.group.setAttribute("transform", `translate(${((origin - (now - span)) * scale).toFixed(1)} 0)`);
    if (!open && drawn === this.drawn) return;
    this.group.replaceChildren(...bars(run, origin, scale, now));
    if (drawn !== this.drawn) {
      this.drawn = drawn;
      this.picture.setAttribute("viewBox", `0 0 ${width} ${heightOf(run)}`);
      this.picture.setAttribute("height", heightOf(run));
      this.picture.setAttribute("aria-label", described(run, now));
      this.state.className = `state ${run.status}`;
      write(this.state, markOf(run.status));
      write(this.name, words(run.type));
      this.button.setAttribute("aria-label", `${words(run.type)}, run ${shortId(run.id)}, ${run.status}: show its steps`);
      if (this.panel) refreshPanel(this.id);
    }
    const took = Math.max(0, run.status === "queued" ? now - run.queuedAt : (run.endedAt ?? now) - (run.startedAt ?? now));
    write(this.outcome, `${run.status} · ${seconds(took)}`);
    write(this.spent, run.status === "queued" ? (run.place === 1 ? "next in the queue" : `number ${run.place} in the queue`)
      : `${tokens(run.tokens)}${run.cost === null ? "" : ` · ${cost(run.cost)}`}`);
  }
}

/** Return the lanes to show, made where they are new. */
function chosen(now) {
  const { running, queued, ended } = ordered();
  const recent = ended.filter((run) => run.endedAt > now - span || lanes.get(run.id)?.panel).slice(0, MOST_ENDED);
  write($("more-queued"), queued.length > MOST_QUEUED ? `and ${queued.length - MOST_QUEUED} more in the queue` : "");
  return [...running, ...queued.slice(0, MOST_QUEUED), ...recent];
}

/** Draw all lanes as they are at this moment. */
export function drawLanes() {
  const now = clock.now();
  const room = $("axis").clientWidth;
  if (room) width = room;
  const shown = chosen(now);
  for (const run of shown) if (!lanes.has(run.id)) lanes.set(run.id, new Lane(run.id));
  arrange($("lanes"), shown.map((run) => lanes.get(run.id).row));
  for (const run of shown) lanes.get(run.id).update(run, now);
  for (const id of lanes.keys()) if (!runs.has(id)) lanes.delete(id);
  $("no-lanes").hidden = shown.length > 0;
  axis(now);
  legend();
}

function axis(now) {
  const scale = width / span, marks = [];
  const spaced = [10, 15, 30, 60, 120, 180].find((step) => step * scale >= 64) || 300;
  for (let time = Math.ceil((now - span) / spaced) * spaced; time <= now; time += spaced) {
    const x = (time - now + span) * scale;
    if (x > width - 64) continue; // "now" stands there
    marks.push(draw("line", { x1: x.toFixed(1), x2: x.toFixed(1), y1: 16, y2: 20 }));
    if (x > 26) marks.push(draw("text", { x: x.toFixed(1), y: 12, "text-anchor": "middle" }, timeOfDay(time)));
  }
  marks.push(draw("text", { x: width, y: 12, "text-anchor": "end" }, "now"));
  $("axis").setAttribute("viewBox", `0 0 ${width} 20`);
  $("axis").replaceChildren(...marks);
}

function legend() {
  const seen = agents();
  if (seen.join() === shownAgents) return;
  shownAgents = seen.join();
  $("agents").replaceChildren(...seen.map((agent) => make("li", {}, make("span", { class: `swatch agent-${colourOf(agent)}` }), words(agent))));
}

/** Show a run's lane and its steps. */
export function openLane(id) {
  const lane = lanes.get(id);
  if (!lane || !lane.row.isConnected) return false;
  if (!lane.panel) lane.toggle(true);
  lane.row.scrollIntoView({ block: "nearest" });
  lane.button.focus({ preventScroll: true });
  return true;
}

/** Listen to the choice of how much time is shown. */
export function startLanes() {
  $("span").addEventListener("change", () => { span = Number($("span").value); drawLanes(); });
  addEventListener("resize", () => drawLanes());
}
