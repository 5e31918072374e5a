/** Fifteen minutes of the studio's numbers, as the server had them and as they came since. */

const KEPT = 900; // seconds

export const history = { times: [], values: {} };

/** Take over what the server has. */
export function setHistory({ times, values }) {
  history.times = times;
  history.values = values;
}

/** Add what came this second. */
export function addNumbers({ time, values }) {
  if (history.times.length && time <= history.times.at(-1)) return;
  history.times.push(time);
  const length = history.times.length;
  for (const [id, series] of Object.entries(values)) {
    const known = (history.values[id] ??= {});
    for (const [name, value] of Object.entries(series)) (known[name] ??= []).length = length;
    for (const [name, points] of Object.entries(known)) {
      points.length = length;
      points[length - 1] = series[name] ?? null;
    }
  }
  let old = 0;
  while (history.times[old] < time - KEPT) old += 1;
  if (!old) return;
  history.times.splice(0, old);
  for (const series of Object.values(history.values)) for (const points of Object.values(series)) points.splice(0, old);
}

/** Return the series of an id as arrays as long as the times, holes as null. */
export function seriesOf(id) {
  const { times, values } = history;
  return Object.entries(values[id] || {}).map(([name, points]) => [name, Array.from(times, (_, at) => points[at] ?? null)]);
}
