/** The server's clock: events have its time, and a browser's own may be minutes off. */

let skew = 0; // seconds that the server's clock is ahead

export const clock = {
  /** Take the server's time from a message that was just received. */
  set(time) { skew = time - Date.now() / 1000; },
  /** Return the server's time now, in Unix seconds. */
  now: () => Date.now() / 1000 + skew,
};
