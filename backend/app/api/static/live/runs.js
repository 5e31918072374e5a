/**
 * The runs as far as events and the API tell of them: what the lanes are drawn from.
 *
 * A run has executions of agents, one after the other or side by side; an execution has pieces: time of a model
 * (`model`), time between two attempts (`backoff`), time in a limiter's queue (`wait`) and tools (`tool`). Events are
 * emitted as what they tell of ends: one with a duration of two seconds stands for the two seconds before it.
 */

const MOST_RUNS = 300;

export const runs = new Map();

/** Return the run of an id, made where it is new. */
function runOf(id, type) {
  let run = runs.get(id);
  if (!run) {
    run = { id, type: type || "", brand: "", status: "running", queuedAt: null, startedAt: null, endedAt: null,
      executions: [], models: new Set(), tokens: 0, cost: null, version: 0 };
    runs.set(id, run);
    if (runs.size > MOST_RUNS) forgetOne();
  }
  if (type) run.type = type;
  return run;
}

function forgetOne() {
  for (const [id, run] of runs) if (run.endedAt !== null) return runs.delete(id);
  return runs.delete(runs.keys().next().value);
}

const isOpen = (execution) => execution.end === null;

/** Return the execution that an event of an agent belongs to: an open one, rather without a call that is under way. */
function executionOf(run, agent, wanted = () => true) {
  const open = run.executions.filter((one) => isOpen(one) && (!agent || one.agent === agent));
  return open.find(wanted) || open[0] || null;
}

/** Return the first row of a lane in which no execution is under way. */
function freeRow(run) {
  const taken = new Set(run.executions.filter(isOpen).map((one) => one.row));
  let row = 0;
  while (taken.has(row)) row += 1;
  return row;
}

function execution(run, agent, start, id = "") {
  const made = { id, agent, step: "", row: freeRow(run), start, end: null, status: "", pieces: [], attempts: [], call: null };
  run.executions.push(made);
  return made;
}

function add(target, kind, end, duration, more) {
  if (target && duration > 0) target.pieces.push({ kind, start: end - duration, end, ...more });
}

const hasCall = (id) => (one) => one.call !== null && one.call.id === id;

const APPLY = {
  workflow_started(run, fields, time) {
    run.status = "running";
    run.startedAt = time;
    run.queuedAt ??= time - (fields.queue_wait || 0);
  },
  workflow_resumed(run, fields, time) {
    run.status = "running";
    run.startedAt ??= time;
  },
  workflow_released(run, fields, time) { closeAll(run, time, "released"); },
  workflow_requeued(run, fields, time) {
    closeAll(run, time, "released");
    run.status = "queued";
  },
  agent_started(run, fields, time) { execution(run, fields.agent_name, time, fields.execution_id); },
  agent_finished(run, fields, time) {
    let one = fields.execution_id ? run.executions.find((each) => each.id === fields.execution_id) : null;
    one ||= executionOf(run, fields.agent_name) || execution(run, fields.agent_name, time - fields.duration);
    Object.assign(one, { start: Math.min(one.start, time - fields.duration), end: time, status: fields.status, call: null });
  },
  llm_call_started(run, fields, time) {
    const one = executionOf(run, fields.agent_name, (each) => each.call === null);
    if (one) one.call = { id: fields.call_id, model: fields.model, since: time };
  },
  llm_attempted(run, fields, time) {
    const one = executionOf(run, fields.agent_name, hasCall(fields.call_id));
    if (!one) return;
    const began = time - (fields.duration || 0), queued = began - (fields.queue_wait || 0);
    add(one, "model", time, fields.duration, { model: fields.model, failed: fields.outcome !== "success" });
    add(one, "wait", began, fields.queue_wait);
    add(one, "backoff", queued, fields.backoff);
    one.attempts.push({ number: fields.attempt || 1, time, ...fields });
    if (one.call) one.call.since = time;
  },
  llm_called(run, fields, time) {
    run.models.add(fields.model);
    run.tokens += (fields.prompt_tokens || 0) + (fields.completion_tokens || 0);
    if (typeof fields.cost === "number") run.cost = (run.cost || 0) + fields.cost;
    const one = executionOf(run, fields.agent_name, hasCall(fields.call_id));
    if (!one) return;
    if (one.call && one.call.since < time - 0.05 && !one.attempts.length) add(one, "model", time, fields.duration, { model: fields.model });
    one.call = null;
  },
  tool_called(run, fields, time) {
    const one = executionOf(run, fields.agent_name);
    add(one, "tool", time, Math.max(fields.duration, 0.001), { tool: fields.tool_name, failed: fields.status !== "success" });
  },
  workflow_step_finished(run, fields, time) {
    const ended = run.executions.filter((one) => one.agent === fields.agent_name && !one.step && !isOpen(one));
    const one = ended[0] || executionOf(run, fields.agent_name) || execution(run, fields.agent_name, time - fields.duration);
    Object.assign(one, { step: fields.step, end: one.end ?? time, status: fields.status, call: null });
  },
  workflow_finished(run, fields, time) {
    closeAll(run, time, fields.status === "cancelled" ? "cancelled" : "");
    Object.assign(run, { status: fields.status, endedAt: time, startedAt: run.startedAt ?? time - fields.duration,
      tokens: (fields.prompt_tokens || 0) + (fields.completion_tokens || 0), cost: fields.cost ?? null });
    run.queuedAt ??= run.startedAt - (fields.queue_wait || 0);
  },
};

function closeAll(run, time, status) {
  for (const one of run.executions.filter(isOpen)) Object.assign(one, { end: time, status: one.status || status, call: null });
}

/** Take up an event; return the run that it changed, if any. */
export function applyRecord({ signal, time, fields }) {
  const apply = APPLY[signal];
  if (!apply || !fields.run_id) return null;
  const run = runOf(fields.run_id, fields.workflow_type);
  apply(run, fields, time);
  run.version += 1;
  return run;
}

const unix = (text) => (text ? Date.parse(text) / 1000 : null);

/** Take up what the API lists; events know a run's state earlier, and it never goes back from its end. */
export function applySummaries(items) {
  for (const item of items) {
    const run = runOf(item.run_id, item.workflow_type);
    const ended = unix(item.finished_at);
    Object.assign(run, { brand: item.brand, queuedAt: unix(item.queued_at), startedAt: unix(item.started_at) ?? run.startedAt });
    if (ended !== null || run.endedAt === null) {
      Object.assign(run, { status: run.startedAt !== null && item.status === "queued" ? run.status : item.status,
        endedAt: ended, tokens: Math.max(run.tokens, item.tokens.total), cost: item.cost ?? run.cost });
      if (ended !== null) closeAll(run, ended, item.status === "cancelled" ? "cancelled" : "");
    }
    run.version += 1;
  }
}

/** Take up the steps of a run from the API, where no event told of them. */
export function applySteps(detail) {
  const run = runOf(detail.run_id, detail.workflow_type);
  for (const step of detail.steps) {
    if (run.executions.some((one) => one.step === step.name || (one.agent === step.agent_name && !one.step))) continue;
    const start = unix(step.started_at), end = start + step.duration;
    const made = execution(run, step.agent_name, start);
    const beside = run.executions.filter((one) => one !== made && one.start < end && (one.end ?? end) > start);
    const taken = new Set(beside.map((one) => one.row));
    made.row = [0, 1, 2, 3].find((row) => !taken.has(row)) ?? 0;
    Object.assign(made, { end, step: step.name, status: step.status });
  }
  run.version += 1;
}

/** Return the runs in the order in which they are shown: running, then queued by their place, then ended, latest first. */
export function ordered() {
  const all = [...runs.values()];
  const queued = all.filter((run) => run.status === "queued").sort((a, b) => a.queuedAt - b.queuedAt);
  queued.forEach((run, at) => { run.place = at + 1; });
  return {
    running: all.filter((run) => run.endedAt === null && run.status !== "queued").sort((a, b) => a.startedAt - b.startedAt),
    queued,
    ended: all.filter((run) => run.endedAt !== null).sort((a, b) => b.endedAt - a.endedAt),
  };
}
