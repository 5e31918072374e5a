/**
 * The live feed: server-sent events of the studio, resumed where they broke off.
 *
 * A hidden page closes its feed, for browsers open six connections to a server at most; it resumes when it is shown.
 */

import { API, ask } from "./api.js";

const LONGEST_WAIT = 15000; // ms between two tries
const REMEMBERED = 5000; // ids of events that were read

/**
 * Open the feed and keep it open.
 *
 * `query` is that of the request, `replay` asks for what the server still has of earlier events. The handlers are
 * `record(record)`, `numbers(payload)`, `status(payload)` and `state(name, message)`; its names are `connecting`,
 * `open`, `hidden`, `waiting` (it will be tried again) and `off` (there is none).
 */
export function openFeed({ query = {}, replay = false, handlers }) {
  let source = null, lastId = replay ? "0" : null, wait = 1000, timer = null, closed = false, ids = new Set();
  const tell = (name, ...rest) => handlers[name] && handlers[name](...rest);

  function read(message, name) {
    if (name === "record" && !isNew(message.lastEventId)) return;
    tell(name, JSON.parse(message.data));
  }

  // A server that does not know the last event that was read sends all that it has.
  function isNew(id) {
    if (!id) return true;
    if (ids.has(id)) return false;
    lastId = id;
    ids.add(id);
    if (ids.size > 2 * REMEMBERED) ids = new Set([...ids].slice(-REMEMBERED));
    return true;
  }

  function open() {
    clearTimeout(timer);
    if (closed || source) return;
    const parameters = new URLSearchParams(query);
    if (lastId !== null) parameters.set("last_event_id", lastId);
    tell("state", "connecting", "Connecting …");
    const opened = source = new EventSource(`${API}/events?${parameters}`);
    opened.onopen = () => { wait = 1000; tell("state", "open", "Live"); };
    opened.onmessage = (message) => read(message, "record");
    for (const name of ["numbers", "status"]) opened.addEventListener(name, (message) => read(message, name));
    // The browser would try again by itself, but neither where it was refused nor with the id of the query replaced.
    opened.onerror = () => { shut(); again(); };
  }

  function shut() {
    if (source) source.close();
    source = null;
  }

  async function again() {
    if (closed || document.hidden) return;
    tell("state", "waiting", "The feed broke off: trying again …");
    try {
      await ask(`${API}/live`);
    } catch (error) {
      if (error.status === 404) {
        closed = true;
        return tell("state", "off", "The live feed is switched off.");
      }
      tell("state", "waiting", error.status === 401 ? "The session has ended: log in again." : error.message);
    }
    if (!document.hidden) timer = setTimeout(open, wait);
    wait = Math.min(wait * 2, LONGEST_WAIT);
  }

  document.addEventListener("visibilitychange", () => {
    if (closed) return;
    if (document.hidden) {
      clearTimeout(timer);
      shut();
      tell("state", "hidden", "Hidden");
    } else open();
  });
  addEventListener("pagehide", shut);
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  if (!document.hidden) open();
  return { close() { closed = true; clearTimeout(timer); shut(); } };
}
