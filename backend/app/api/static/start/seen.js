/** What events told of runs, and the API does not have: models, and which agents work just now. */

const MOST = 500;
const seen = new Map(); // by run id

function of(id) {
  if (!seen.has(id)) seen.set(id, { models: new Set(), agents: new Map(), byAgent: new Map() });
  if (seen.size > MOST) seen.delete(seen.keys().next().value);
  return seen.get(id);
}

/** Take up an event; return the id of the run that it is of, if any. */
export function see({ signal, time, fields }) {
  const id = fields.run_id;
  if (!id) return null;
  if (signal === "agent_started") of(id).agents.set(fields.execution_id || fields.agent_name, { agent: fields.agent_name, since: time });
  if (signal === "agent_finished") of(id).agents.delete(fields.execution_id || fields.agent_name);
  if (signal === "workflow_finished" || signal === "workflow_requeued") of(id).agents.clear();
  if (signal === "llm_called") {
    of(id).models.add(fields.model);
    const agent = of(id).byAgent;
    agent.set(fields.agent_name, new Set([...(agent.get(fields.agent_name) || []), fields.model]));
  }
  return id;
}

/** Return the models that a run asked, or one of its agents; empty where no event told of them. */
export function modelsOf(id, agent) {
  const found = agent ? seen.get(id)?.byAgent.get(agent) : seen.get(id)?.models;
  return [...(found || [])].join(", ");
}

/** Return since when an agent works for a run, in Unix seconds, or null. */
export function worksSince(id, agent) {
  const working = [...(seen.get(id)?.agents.values() || [])].filter((one) => one.agent === agent);
  return working.length ? Math.min(...working.map((one) => one.since)) : null;
}
