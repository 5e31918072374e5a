/** The server's clock: events have its time, and a browser's own may be minutes off. */

const DRIFT = 0.01; // seconds that the estimate may fall with each message: the clocks may be set
let skew = -Infinity; // seconds that the server's clock is ahead

export const clock = {
  /** Take the server's time from a message that was just received: the one that took the shortest says most. */
  set(time) { skew = Math.max(time - Date.now() / 1000, skew - DRIFT); },
  /** Return the server's time now, in Unix seconds. */
  now: () => Date.now() / 1000 + (skew === -Infinity ? 0 : skew),
};
