/** The live page: what the server says once, what the feed says since, and when to draw it. */

import { API, ask, listRuns } from "../api.js";
import { $, write } from "../dom.js";
import { openFeed } from "../feed.js";
import { buildCharts, startCharts, updateCharts } from "./charts.js";
import { clock } from "./clock.js";
import { addNumbers, setHistory } from "./history.js";
import { drawLanes, openLane, startLanes } from "./lanes.js";
import { buildMap, layout, showSignal, startMap, updateMap } from "./map.js";
import { light } from "./map_edges.js";
import { applyRecord, applySummaries } from "./runs.js";
import { addToStream, pauseStream, startStream } from "./stream.js";
import { buildTiles, updateTiles } from "./tiles.js";
import { showFeed, showParts, showReach, showServer, startTop } from "./top.js";

const STARTS_RUN = "/api/v1/workflows/{workflow_type}/runs", CANCELS_RUN = "/api/v1/runs/{run_id}/cancel";
let paused = false, drawing = false, asking = null, last = null, built = false, replayed = 0;

/** Fetch what the server says once: the page has it anew after each break of the feed. */
async function load() {
  try {
    const live = await ask(`${API}/live`);
    clock.set(live.history.times.at(-1) ?? clock.now());
    setHistory(live.history);
    showServer(live.server);
    if (!built) {
      buildTiles(live.tiles);
      buildCharts(live.charts, live.pipeline);
      buildMap(live.map);
      built = true;
    }
    $("problem").hidden = true;
    numbers(last || { values: lastOf(live.history), signals: {}, series: {}, failures: {}, components: live.components });
  } catch (error) {
    fail(error.status === 404 ? OFF : error.message);
  }
}

function lastOf({ values }) {
  return Object.fromEntries(Object.entries(values).map(([id, series]) =>
    [id, Object.fromEntries(Object.entries(series).map(([name, points]) => [name, points.at(-1) ?? null]))]));
}

function numbers(payload) {
  if (payload.time) {
    clock.set(payload.time);
    addNumbers(payload);
    last = payload;
  }
  if (paused || !built) return;
  updateTiles(payload.values);
  updateCharts();
  updateMap(payload);
  showParts(payload);
  soon();
}

/** Draw the lanes in the next frame but one, however many events come. */
function soon() {
  if (drawing || paused) return;
  drawing = true;
  setTimeout(() => requestAnimationFrame(() => { drawing = false; if (!paused) drawLanes(); }), 60);
}

function record(event) {
  if (applyRecord(event)) soon();
  addToStream(event);
  // What is replayed happened before the page was there.
  if (!paused && event.time > replayed) light(event.signal);
  const { endpoint, method } = event.fields;
  if (event.signal === "http_request_finished" && method === "POST" && [STARTS_RUN, CANCELS_RUN].includes(endpoint)) askRuns();
}

/** Ask the API for runs: no event tells of one that is queued. */
function askRuns() {
  asking ??= setTimeout(async () => {
    asking = null;
    try {
      applySummaries((await listRuns({ limit: 50 })).items);
      const queued = await listRuns({ status: "queued", limit: 100 });
      applySummaries(queued.items);
      if (queued.total > 100) applySummaries((await listRuns({ status: "queued", limit: 20, offset: queued.total - 20 })).items);
    } catch { /* the feed's state says that the studio does not answer */ }
    soon();
  }, 250);
}

function pause(on) {
  paused = on;
  pauseStream(on);
  write($("pause"), on ? "Go on" : "Pause");
  if (!on && last) numbers(last);
}

function follow() {
  startTop({ paused: pause });
  startLanes();
  startStream({ followed: showSignal, opened: (id) => { if (!openLane(id)) location.assign(`./#${id}`); } });
  startMap();
  startCharts();
  load();
  askRuns();
  openFeed({
    query: { numbers: 1 },
    replay: true,
    handlers: {
      record,
      numbers,
      status(payload) {
        replayed = clock.now();
        showReach(payload);
        if (!payload.resumed) askRuns();
      },
      state(name, message) {
        showFeed(name, message);
        if (name === "open" && last) load(); // what is missing in the charts since it broke off
      },
    },
  });
  // Lanes grow while nothing happens.
  setInterval(soon, matchMedia("(prefers-reduced-motion: reduce)").matches ? 2000 : 500);
  addEventListener("load", layout);
}

const OFF = "The live page is switched off: SPARKLIO_LIVE=true switches it on.";

function fail(message) {
  write($("problem"), message);
  $("problem").hidden = false;
}

if (document.body.dataset.live === "on") follow();
else {
  fail(OFF);
  showFeed("off", "Off");
}
