/** The places of queued runs. */

import { listRuns } from "../api.js";

const places = new Map(); // by run id
let total = 0;

/** Ask the API for the queue. */
export async function readQueue() {
  const page = await listRuns({ status: "queued", limit: 100 });
  total = page.total;
  places.clear();
  page.items.forEach((run, at) => places.set(run.run_id, total - at)); // the latest comes first
}

/** Return where a run stands, as in ``, number 3 of 7``; nothing where that is not known. */
export function place(id) {
  if (!places.has(id)) return "";
  return `, number ${places.get(id)} of ${total}`;
}
