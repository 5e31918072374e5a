/** The start page: a form that starts a workflow, one run with its steps, and the recent runs, which follow the feed. */

import { API, ask, cancelRun, ENDED, getRun, newKey, startRun } from "../api.js";
import { $, make } from "../dom.js";
import { openFeed } from "../feed.js";
import { words } from "../format.js";
import { readQueue } from "./queue.js";
import { recent, startRecent, tickRecent } from "./recent.js";
import { showRun, tick } from "./run_view.js";
import { see } from "./seen.js";
import { buildStrip, showNumbers } from "./strip.js";

const SIGNALS = ["workflow_started", "workflow_resumed", "workflow_requeued", "workflow_step_finished", "workflow_finished",
  "workflow_billed_late", "agent_started", "agent_finished", "llm_called", "http_request_finished", "component_checked"];
const POLL = 600, SLOW = 5000; // ms between two looks at the shown run: without the feed, and beside it
let workflows = [], shown = null, timer = null, later = null, pending = null, feeds = false;

function show(run) {
  showRun(run, workflows.find((one) => one.name === run.workflow_type)?.steps || []);
}

async function follow(id) {
  clearTimeout(timer);
  shown = id;
  let again = feeds ? SLOW : POLL;
  try {
    const run = await getRun(id);
    if (run.status === "queued") await readQueue();
    if (shown !== id) return;
    $("run-problem").textContent = "";
    show(run);
    if (ENDED.includes(run.status)) {
      again = 0;
      recent();
    }
  } catch (error) {
    if (shown !== id) return;
    $("run-problem").textContent = error.message;
    again = 3000;
  }
  clearTimeout(timer);
  if (again) timer = setTimeout(() => follow(id), again);
}

function choose(id) {
  history.replaceState(null, "", `#${id}`);
  follow(id);
  $("run-title").focus();
}

/** Look again at what changed, a quarter of a second after the first event that says so. */
function soon() {
  later ??= setTimeout(() => {
    later = null;
    recent();
    if (shown) follow(shown);
  }, 250);
}

function record(event) {
  const id = see(event);
  const { method, endpoint = "" } = event.fields;
  if (id || (event.signal === "http_request_finished" && method === "POST" && endpoint.includes("/runs"))) soon();
}

function describe() {
  const workflow = workflows.find((one) => one.name === $("workflow").value);
  if (!workflow) return;
  const stages = new Map();
  for (const step of workflow.steps) stages.set(step.stage, [...(stages.get(step.stage) || []), words(step.name)]);
  $("about").textContent = `${workflow.description} Steps: ${[...stages.values()].map((names) => names.join(" with ")).join(", then ")}.`;
}

async function start(event) {
  event.preventDefault();
  $("start-problem").textContent = "";
  $("submit").disabled = true;
  const features = $("features").value.split("\n").map((line) => line.trim()).filter(Boolean);
  const body = JSON.stringify({ brand: $("brand").value, product: $("product").value, features, audience: $("audience").value });
  const workflow = $("workflow").value;
  // The same request, sent again because its answer was lost, must not start a second run.
  if (!pending || pending.body !== body || pending.workflow !== workflow) pending = { body, workflow, key: newKey() };
  try {
    const run = await startRun(workflow, body, pending.key);
    pending = null;
    choose(run.run_id);
    recent();
  } catch (error) {
    $("start-problem").textContent = error.message;
  }
  $("submit").disabled = false;
}

async function cancel() {
  $("cancel").disabled = true;
  try {
    show(await cancelRun(shown));
    $("run-problem").textContent = "";
    $("run-title").focus(); // the button is gone
    recent();
    setTimeout(follow, 1500, shown); // the step that was stopped is stored a moment later
  } catch (error) {
    $("run-problem").textContent = error.message;
  }
  $("cancel").disabled = false;
}

async function begin() {
  try {
    workflows = (await ask(`${API}/workflows`)).items;
    $("workflow").replaceChildren(...workflows.map((one) => make("option", { value: one.name }, words(one.name))));
    describe();
  } catch (error) {
    $("start-problem").textContent = error.message;
  }
  recent();
  if (location.hash.length > 1) follow(location.hash.slice(1));
}

$("start").addEventListener("submit", start);
$("workflow").addEventListener("change", describe);
$("cancel").addEventListener("click", cancel);
startRecent(choose);
addEventListener("hashchange", () => { if (location.hash.length > 1) follow(location.hash.slice(1)); });
begin();
if (document.body.dataset.live === "on") {
  buildStrip();
  openFeed({
    query: [["numbers", "1"], ...SIGNALS.map((name) => ["signal", name])],
    replay: true,
    handlers: { record, numbers: showNumbers, state(name) { feeds = name === "open"; } },
  });
}
setInterval(() => { tick(); tickRecent(); }, 1000);
// Where there is no feed, or while it is away.
setInterval(() => { if (!feeds && !document.hidden) recent(); }, 3000);
