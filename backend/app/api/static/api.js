/** Requests to the studio's API, and errors in words. */

export const API = "api/v1";
export const ENDED = ["completed", "failed", "cancelled", "abandoned"];

/** An answer that is no success. */
export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

function words(detail) {
  if (typeof detail === "string") return detail;
  if (!Array.isArray(detail)) return "";
  return detail.map((one) => `${one.loc.slice(1).join(" ") || "body"}: ${one.msg}`).join("; ");
}

/** Return the JSON of an answer; throw what went wrong, in words. */
export async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Refused("The studio does not answer. Is it running?", 0);
  }
  const body = await answer.json().catch(() => null);
  if (!answer.ok) {
    throw new Refused(words(body && body.detail) || `The studio answered ${answer.status} ${answer.statusText}.`, answer.status);
  }
  return body;
}

/** Return a key that no other request has: the same request, sent again, must not start a second run. */
export const newKey = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** Start a run of a workflow and return what the API says of it. */
export const startRun = (workflow, body, key) => ask(`${API}/workflows/${encodeURIComponent(workflow)}/runs`, {
  method: "POST", body, headers: { "Content-Type": "application/json", "Idempotency-Key": key },
});

export const getRun = (id) => ask(`${API}/runs/${encodeURIComponent(id)}`);
export const cancelRun = (id) => ask(`${API}/runs/${encodeURIComponent(id)}/cancel`, { method: "POST" });
export const listRuns = (query) => ask(`${API}/runs?${new URLSearchParams(query)}`);
