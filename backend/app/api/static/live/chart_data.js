/** The data of a chart: its largest series, piled up where it is stacked. */

const MOST = 8;

/** Return the series to draw, the largest first, and how many are left out. */
export function chosenSeries(series) {
  const size = ([, points]) => points.reduce((sum, value) => sum + Math.abs(value ?? 0), 0);
  // Not sorted where all fit: lines and legends that change places cannot be followed.
  const kept = series.length <= MOST ? series : [...series].sort((a, b) => size(b) - size(a)).slice(0, MOST);
  return [kept, series.length - kept.length];
}

/** Return series piled up: each has the sum of itself and those before it. A hole is a hole where all have one. */
export function piled(series) {
  let below = null;
  return series.map(([name, points]) => {
    const sums = points.map((value, at) => {
      const under = below ? below[at] : null;
      return value === null && under === null ? null : (value ?? 0) + (under ?? 0);
    });
    below = sums;
    return [name, sums];
  });
}
