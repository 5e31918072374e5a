/** What a lane shows when it is opened: steps, attempts, cost, copy, and a button that cancels the run. */

import { cancelRun, ENDED, getRun } from "../api.js";
import { copyButton, make, state } from "../dom.js";
import { cost, NONE, number, seconds, shortId, timeOfDay, words } from "../format.js";
import { applySteps, runs } from "./runs.js";

const panels = new Map(); // by run id

const cells = (...values) => values.map((value, at) =>
  make(at ? "td" : "th", { scope: at ? null : "row", class: typeof value === "number" ? "number" : null }, value));

const table = (caption, head, rows) => make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
  make("table", {}, make("caption", {}, caption), make("thead", {}, make("tr", {}, head.map((name) => make("th", { scope: "col" }, name)))),
    make("tbody", {}, rows)));

/** Return the panel of a run, which fetches what it shows. */
export function panelOf(id) {
  const panel = { body: make("div", { class: "panel" }, make("p", { class: "soft" }, "Loading …")), timer: null };
  panels.set(id, panel);
  load(id);
  return panel.body;
}

export function closePanel(id) {
  clearTimeout(panels.get(id)?.timer);
  panels.delete(id);
}

/** Fetch a run anew, half a second after its last event. */
export function refreshPanel(id) {
  const panel = panels.get(id);
  if (!panel || panel.timer) return;
  panel.timer = setTimeout(() => { panel.timer = null; load(id); }, 500);
}

async function load(id) {
  const panel = panels.get(id);
  if (!panel) return;
  try {
    const detail = await getRun(id);
    applySteps(detail);
    if (panels.get(id) !== panel || panel.body.contains(document.activeElement) && panel.told === JSON.stringify(detail)) return;
    panel.told = JSON.stringify(detail);
    show(panel.body, detail);
  } catch (error) {
    panel.body.replaceChildren(make("p", { class: "problem", role: "alert" }, error.message));
  }
}

function show(body, detail) {
  const run = runs.get(detail.run_id);
  const focused = document.activeElement?.dataset?.part, within = body.contains(document.activeElement);
  body.replaceChildren(
    make("p", { class: "line" },
      make("span", {}, state(detail.status), ` for ${detail.brand} · ${number(detail.tokens.prompt)} + ${number(detail.tokens.completion)} tokens · `,
        `${number(detail.llm_calls)} model call${detail.llm_calls === 1 ? "" : "s"}${detail.llm_calls ? ` · ${cost(detail.cost)}` : ""}`),
      make("span", { class: "tools" }, ENDED.includes(detail.status) ? null : cancelButton(detail.run_id),
        make("a", { href: `./#${detail.run_id}`, "data-part": "page" }, "Open its page"))),
    detail.error ? make("p", { class: "problem" }, detail.error) : "",
    table(`Steps of run ${shortId(detail.run_id)}`,
      ["Step", "Agent", "State", "Began", "Took", "Model", "Calls", "Tokens", "Cost"], stepRows(detail, run)),
    attempts(run, detail),
    result(detail));
  if (within) (body.querySelector(`[data-part="${focused}"]`) || body.querySelector("a")).focus({ preventScroll: true });
}

function stepRows(detail, run) {
  const done = detail.steps.map((step) => {
    const seen = run.executions.filter((one) => one.step === step.name);
    return make("tr", {}, cells(words(step.name), words(step.agent_name), state(step.status), timeOfDay(Date.parse(step.started_at) / 1000),
      seconds(step.duration), modelsOf(seen), number(step.llm_calls), number(step.tokens.total), cost(step.cost)));
  });
  const open = run.executions.filter((one) => one.end === null).map((one) =>
    make("tr", {}, cells(words(one.agent), words(one.agent), state("running"), timeOfDay(one.start), "", modelsOf([one]), NONE, NONE, NONE)));
  const none = make("tr", {}, make("td", { colspan: 9 }, detail.status === "queued" ? "It waits in the queue." : "No step has begun."));
  return done.length + open.length ? [...done, ...open] : [none];
}

function modelsOf(executions) {
  const names = executions.flatMap((one) => one.pieces).map((piece) => piece.model).filter(Boolean);
  return [...new Set(names)].join(", ") || NONE;
}

function attempts(run, detail) {
  const all = run.executions.flatMap((one) => one.attempts.map((attempt) => [one, attempt]));
  if (!all.length && !detail.llm_calls) return "";
  if (!all.length) return make("p", { class: "soft" }, "Its attempts at models were before what the feed still has.");
  return table("Attempts at models", ["Attempt", "Agent", "Model", "Outcome", "Ended", "Took", "Waited before"],
    all.map(([one, attempt]) => make("tr", {}, cells(`${attempt.number}`, words(one.step || one.agent), attempt.model,
      make("span", {}, state(attempt.outcome), attempt.error_type ? ` ${words(attempt.error_type)}` : ""),
      timeOfDay(attempt.time, true), seconds(attempt.duration), attempt.backoff ? seconds(attempt.backoff) : NONE))));
}

function result(detail) {
  const text = detail.output?.text;
  if (!text) return "";
  return make("div", { class: "result" },
    make("div", { class: "line" }, make("h4", {}, "Its copy"), copyButton("Copy the text", text)), make("p", { class: "text" }, text));
}

function cancelButton(id) {
  const button = make("button", { type: "button", class: "small", "data-part": "cancel" }, "Cancel the run");
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await cancelRun(id);
    } catch (error) {
      button.after(make("span", { class: "problem", role: "alert" }, error.message));
    }
    load(id);
  });
  return button;
}
