/** One run: its state, its result, and every step of its workflow, done, under way, waiting or never begun. */

import { ENDED } from "../api.js";
import { $, make, state } from "../dom.js";
import { cost, number, seconds, words } from "../format.js";
import { place } from "./queue.js";
import { modelsOf, worksSince } from "./seen.js";

let drawn = "";

const spent = (it) => `${it.llm_calls} model call${it.llm_calls === 1 ? "" : "s"}, ` +
  `${number(it.tokens.prompt)} + ${number(it.tokens.completion)} tokens${it.llm_calls ? `, ${cost(it.cost)}` : ""}`;

/** Return how long a run took, or has taken so far. */
export function took(run) {
  if (!run.started_at) return "";
  const end = run.finished_at ? new Date(run.finished_at) : new Date();
  return seconds(Math.max(0, (end - new Date(run.started_at)) / 1000));
}

function outcome(output) {
  if (!output) return null;
  const rest = Object.entries(output).filter(([name]) => name !== "text");
  const facts = rest.flatMap(([name, value]) => [
    make("dt", {}, name), make("dd", {}, typeof value === "object" ? JSON.stringify(value) : value),
  ]);
  return make("div", {},
    output.text ? make("p", { class: "text" }, output.text) : null,
    facts.length ? make("dl", {}, facts) : null);
}

function doneStep(run, step) {
  const model = modelsOf(run.run_id, step.agent_name);
  return make("li", {},
    make("div", { class: "line" }, make("h3", {}, words(step.name)),
      make("span", { class: "soft" }, state(step.status), ` · ${seconds(step.duration)} · ${spent(step)}${model ? ` · ${model}` : ""}`)),
    step.error ? make("p", { class: "problem" }, step.error) : null,
    outcome(step.output));
}

function openStep(run, step, isNext) {
  const since = worksSince(run.run_id, step.agent_name);
  const line = (...said) => make("li", { class: isNext ? "now" : null }, make("div", { class: "line" },
    make("h3", {}, words(step.name)), make("span", { class: "soft" }, ...said)));
  if (run.status === "cancelled") return line(state("cancelled"), " before it began");
  if (ENDED.includes(run.status)) return line(`never begun: the run ${run.status === "failed" ? "failed" : `was ${run.status}`} before`);
  if (run.status === "queued") return line(state("queued"), place(run.run_id));
  if (isNext) return line(state("running"), since === null ? "" : make("span", { "data-since": since }, ""));
  return line("waits for the steps before it");
}

/** Return the steps of the stage that is under way: the first one that has a step which is not done. */
function nextSteps(run, planned) {
  const done = new Set(run.steps.filter((step) => step.status === "success").map((step) => step.name));
  const stage = planned.find((step) => !done.has(step.name))?.stage;
  return new Set(run.status === "running" ? planned.filter((step) => step.stage === stage && !done.has(step.name)).map((step) => step.name) : []);
}

/** Show a run, whose workflow has these planned steps. */
export function showRun(run, planned) {
  const live = !ENDED.includes(run.status);
  $("none").hidden = true;
  $("cancel").hidden = !live;
  $("run-title").textContent = `${words(run.workflow_type)} for ${run.brand}`;
  const where = run.status === "queued" ? place(run.run_id) : "";
  const said = `${run.status}${where}, ${run.steps.length} step${run.steps.length === 1 ? "" : "s"} done`;
  if ($("run-state").dataset.said !== said) { // told to screen readers when it changes, not each time that it is fetched
    $("run-state").dataset.said = said;
    $("run-state").replaceChildren(state(run.status), said.slice(run.status.length));
  }
  const next = nextSteps(run, planned);
  const ahead = planned.filter((step) => !run.steps.some((done) => done.name === step.name));
  const now = JSON.stringify([run, where, modelsOf(run.run_id), ahead.map((step) => worksSince(run.run_id, step.agent_name))]);
  if (now !== drawn) {
    drawn = now;
    const model = modelsOf(run.run_id);
    $("run").replaceChildren(
      make("p", { class: "soft" }, `${spent(run)}${model ? ` · ${model}` : ""}${!live && took(run) ? ` · ${took(run)}` : ""} · run ${run.run_id} · `,
        make("a", { href: `api/v1/runs/${run.run_id}` }, "as JSON")),
      run.error ? make("p", { class: "problem" }, run.error) : "",
      run.output ? make("div", { class: "result" }, make("h3", {}, "Result"), outcome(run.output)) : "",
      make("ol", { class: "steps" }, run.steps.map((step) => doneStep(run, step)),
        ahead.map((step) => openStep(run, step, next.has(step.name)))));
  }
  tick();
}

/** Count on how long the running steps have taken. */
export function tick() {
  for (const element of document.querySelectorAll("[data-since]")) {
    element.textContent = ` · for ${seconds(Math.max(0, Date.now() / 1000 - Number(element.dataset.since)))}`;
  }
}
