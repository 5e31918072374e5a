// What Prometheus answered, as the data frames that Grafana's panels draw.
import { FieldType, getDisplayProcessor, transformDataFrame } from '@grafana/data';
import { lastValueFrom } from 'rxjs';

const STARTS_OF_LINES = { drawStyle: 'line', lineWidth: 1, fillOpacity: 0, showPoints: 'auto', pointSize: 5 };

/** Return the frames of a panel, transformed and with its field configuration applied. */
export async function framesOf(panel, answers, theme) {
  const targets = panel.targets.map((target) => ({ target, series: answers.panels[panel.id][target.refId] }));
  let frames;
  if (panel.type === 'table') {
    frames = targets.filter(({ series }) => series.length).map((each) => rows(each, targets.length));
    const steps = (panel.transformations ?? []).map(({ id, options }) => ({ id, options }));
    frames = await lastValueFrom(transformDataFrame(steps, frames));
  } else if (panel.type === 'heatmap') {
    frames = targets.flatMap(({ series }) => series.map((each) => line(each, each.metric.le, answers.step)));
  } else {
    frames = targets.flatMap(({ target, series }) =>
      series.map((each) => line(each, nameOf(each.metric, target), answers.step))
    );
  }
  configure(frames, panel, theme);
  return frames;
}

/** Return what a series is called: its legend with labels filled in, else its labels. */
function nameOf(metric, { legendFormat, expr }) {
  if (legendFormat && legendFormat !== '__auto') {
    return legendFormat.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => metric[label] ?? '').trim();
  }
  const { __name__: name = '', ...labels } = metric;
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return pairs.length ? `${name}{${pairs.join(', ')}}` : name || expr;
}

function line({ metric, values }, name, step) {
  const { __name__, ...labels } = metric;
  return {
    length: values.length,
    fields: [
      { name: 'Time', type: FieldType.time, config: { interval: step }, values: values.map(([at]) => at * 1000) },
      {
        name: 'Value',
        type: FieldType.number,
        labels,
        config: { displayNameFromDS: name },
        values: values.map(([, value]) => (Number.isFinite(Number(value)) ? Number(value) : null)), // as Grafana does
      },
    ],
  };
}

function rows({ target, series }, targets) {
  const labels = [...new Set(series.flatMap(({ metric }) => Object.keys(metric)))].sort();
  const last = series.map(({ values }) => values.at(-1));
  const column = (name, type, values) => ({ name, type, config: {}, values });
  return {
    refId: target.refId,
    length: series.length,
    fields: [
      column('Time', FieldType.time, last.map(([at]) => at * 1000)),
      ...labels.map((label) => column(label, FieldType.string, series.map(({ metric }) => metric[label] ?? ''))),
      column(targets > 1 ? `Value #${target.refId}` : 'Value', FieldType.number, last.map(([, value]) => number(value))),
    ],
  };
}

function number(text) {
  return { '+Inf': Infinity, '-Inf': -Infinity, NaN: NaN }[text] ?? Number(text);
}

/** Set each field's configuration: the panel's, then what it overrides by name. */
function configure(frames, panel, theme) {
  const { defaults, overrides } = panel.fieldConfig;
  let index = 0;
  for (const field of frames.flatMap((frame) => frame.fields)) {
    if (field.type === FieldType.number) {
      const custom = { ...STARTS_OF_LINES, ...defaults.custom };
      field.config = { ...field.config, ...structuredClone(defaults), custom };
      field.state = { ...field.state, seriesIndex: index++ };
    }
    const name = field.config.displayName ?? field.config.displayNameFromDS ?? field.name;
    for (const { id, value } of overrides.flatMap((each) => (each.matcher.options === name ? each.properties : []))) {
      if (id.startsWith('custom.')) {
        field.config.custom = { ...field.config.custom, [id.slice('custom.'.length)]: value };
      } else {
        field.config[id] = value;
      }
    }
  }
  if (panel.type === 'bargauge') {
    fillRange(frames);
  }
  for (const field of frames.flatMap((frame) => frame.fields)) {
    field.display = getDisplayProcessor({ field, theme, timeZone: 'utc' });
  }
}

/** Give all bars one scale, from the least to the most of all values, where the panel sets none. */
function fillRange(frames) {
  const fields = frames.flatMap((frame) => frame.fields).filter((field) => field.type === FieldType.number);
  const values = fields.flatMap((field) => field.values).filter((value) => value !== null);
  for (const { config } of fields) {
    config.min ??= Math.min(...values);
    config.max ??= Math.max(...values);
  }
}
