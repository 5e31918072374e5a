// What Grafana has in its server's pages alone and does not publish, drawn alike: heatmap, gauge, and an empty panel.
import { formattedValueToString, getValueFormat } from '@grafana/data';
import { UPlotChart, UPlotConfigBuilder } from '@grafana/ui';
import { useMemo } from 'react';

const ORANGES = ['#2a1d12', '#7f2704', '#a63603', '#d94801', '#f16913', '#fd8d3c', '#fdae6b', '#fdd0a2', '#fee6ce'];
const AXIS = 12;

export function Nothing({ panel, width, height, theme }) {
  const style = { display: 'grid', placeItems: 'center', textAlign: 'center', width, height };
  return <div style={{ ...style, color: theme.colors.text.secondary }}>{panel.fieldConfig.defaults.noValue ?? 'No data'}</div>;
}

/** How much each bucket grew at each time: buckets hold what smaller ones hold, which is taken away. */
function cellsOf(frames) {
  const buckets = frames
    .map((frame) => ({ frame, name: frame.fields[1].labels.le }))
    .filter(({ name }) => name)
    .map(({ frame, name }) => ({ frame, name, edge: Number(name.replace('+Inf', 'Infinity')) }))
    .sort((one, other) => one.edge - other.edge);
  const times = [...new Set(buckets.flatMap(({ frame }) => frame.fields[0].values))].sort((one, other) => one - other);
  const below = new Map();
  const counts = buckets.map(({ frame }) => {
    const [at, values] = frame.fields.map((field) => field.values);
    return at.map((time, place) => {
      const count = Math.max(values[place] - (below.get(time) ?? 0), 0);
      below.set(time, values[place]);
      return [time, count];
    });
  });
  const used = counts.map((row) => row.some(([, count]) => count > 1e-9));
  const [first, last] = [used.indexOf(true), used.lastIndexOf(true)];
  const kept = (each) => each.slice(Math.max(first - 1, 0), last + 1);
  return { times, edges: kept(buckets), counts: kept(counts) };
}

export function Heatmap({ panel, frames, width, height, timeRange, theme }) {
  const { config, times } = useMemo(() => {
    const { times, edges, counts } = cellsOf(frames);
    const most = Math.max(...counts.flat().map(([, count]) => count));
    const step = frames[0].fields[0].config.interval;
    const unit = getValueFormat(panel.options.yAxis?.unit ?? 's');
    const config = new UPlotConfigBuilder('utc');
    config.addScale({ scaleKey: 'x', isTime: true, orientation: 0, direction: 1, range: () => [timeRange.from.valueOf(), timeRange.to.valueOf()] });
    config.addScale({ scaleKey: 'y', isTime: false, orientation: 1, direction: 1, range: () => [0, edges.length] });
    config.addAxis({ scaleKey: 'x', isTime: true, placement: 'bottom', timeZone: 'utc', theme, grid: { show: false } });
    config.addAxis({
      scaleKey: 'y',
      placement: 'left',
      theme,
      grid: { show: false },
      splits: () => edges.map((_, place) => place + 1),
      values: () => edges.map(({ edge, name }) => (Number.isFinite(edge) ? formattedValueToString(unit(edge)) : name)),
    });
    config.addSeries({ scaleKey: 'y', theme, pathBuilder: () => null, show: true });
    config.addHook('draw', (plot) => {
      const { ctx } = plot;
      ctx.save();
      ctx.beginPath();
      ctx.rect(plot.bbox.left, plot.bbox.top, plot.bbox.width, plot.bbox.height);
      ctx.clip();
      counts.forEach((row, place) => {
        const [top, bottom] = [place + 1, place].map((y) => plot.valToPos(y, 'y', true));
        for (const [time, count] of row.filter(([, count]) => count > 1e-9)) {
          const [left, right] = [time - step, time].map((x) => plot.valToPos(x, 'x', true));
          ctx.fillStyle = ORANGES[Math.ceil((count / most) * (ORANGES.length - 1))];
          ctx.fillRect(left, top, right - left - 1, bottom - top - 1);
        }
      });
      ctx.restore();
    });
    return { config, times };
  }, [frames]);
  return <UPlotChart {...{ config, width, height }} data={[times, times.map(() => null)]} />;
}

export function Arc({ value, width, height, theme }) {
  const { display, field } = value;
  const share = Math.min(Math.max((display.numeric - (field.min ?? 0)) / ((field.max ?? 1) - (field.min ?? 0)), 0), 1);
  const radius = Math.min(width / 2, height / 1.3) - AXIS;
  const [x, y] = [width / 2, height - AXIS - radius * 0.1];
  const point = (part) => `${x - radius * Math.cos(Math.PI * part)} ${y - radius * Math.sin(Math.PI * part)}`;
  const arc = (part) => `M ${point(0)} A ${radius} ${radius} 0 0 1 ${point(part)}`;
  const stroke = { fill: 'none', strokeWidth: radius * 0.3 };
  return (
    <svg width={width} height={height}>
      <path d={arc(1)} {...stroke} stroke={theme.colors.background.secondary} />
      {share > 0 && <path d={arc(share)} {...stroke} stroke={display.color} />}
      <text x={x} y={y} textAnchor="middle" fill={display.color} fontSize={radius * 0.4}>
        {formattedValueToString(display)}
      </text>
    </svg>
  );
}
