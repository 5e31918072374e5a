// Each kind of panel, by Grafana's own components; those that Grafana does not publish are in unpublished.jsx.
import { getDisplayValueAlignmentFactors, getFieldDisplayValues, VizOrientation } from '@grafana/data';
import { BarGauge, BigValue, TimeSeries, VizRepeater } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import { useLayoutEffect } from 'react';
import { Arc, Heatmap, Nothing } from './unpublished.jsx';

const KINDS = {
  timeseries: Lines,
  heatmap: Heatmap,
  table: Rows,
  stat: (props) => <Values {...props} draw={Stat} />,
  gauge: (props) => <Values {...props} draw={Arc} />,
  bargauge: (props) => <Values {...props} draw={Bar} />,
};

/** Return a panel's content: why there is nothing, where there is nothing. */
export function drawn(props) {
  const Kind = KINDS[props.panel.type];
  if (!Kind) {
    throw new Error(`panel ${props.panel.title}: nothing draws a ${props.panel.type}`);
  }
  return props.frames.some((frame) => frame.length) ? <Kind {...props} /> : <Nothing {...props} />;
}

function Lines({ panel, frames, width, height, timeRange, annotations, theme }) {
  return (
    <TimeSeries {...{ frames, width, height, timeRange }} timeZone="utc" legend={panel.options.legend} options={{}}>
      {(config) => <Annotations {...{ config, annotations, theme }} />}
    </TimeSeries>
  );
}

/** Dashed lines where something happened. */
function Annotations({ config, annotations, theme }) {
  useLayoutEffect(() => {
    config.addHook('draw', (plot) => {
      const { ctx, bbox } = plot;
      ctx.save();
      ctx.setLineDash([5, 5]);
      for (const { color, times } of annotations) {
        ctx.strokeStyle = theme.visualization.getColorByName(color);
        for (const x of times.map((time) => Math.round(plot.valToPos(time, 'x', true)))) {
          ctx.beginPath();
          ctx.moveTo(x, bbox.top);
          ctx.lineTo(x, bbox.top + bbox.height);
          ctx.stroke();
        }
      }
      ctx.restore();
    });
  }, [config, annotations, theme]);
  return null;
}

function Rows({ panel, frames, width, height, theme }) {
  const fieldConfig = panel.fieldConfig;
  return <TableNG {...{ width, height, fieldConfig }} data={frames[0]} enableVirtualization={false} structureRev={1} />;
}

function Values({ panel, frames, width, height, theme, draw }) {
  const options = panel.options;
  const getValues = () =>
    getFieldDisplayValues({
      data: frames,
      reduceOptions: options.reduceOptions,
      fieldConfig: panel.fieldConfig,
      replaceVariables: (text) => text,
      theme,
      timeZone: 'utc',
    });
  const orientation = panel.type === 'bargauge' ? VizOrientation.Horizontal : options.orientation;
  return (
    <VizRepeater
      {...{ width, height, getValues, orientation }}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      source={frames}
      renderCounter={0}
      itemSpacing={8}
      autoGrid={panel.type !== 'bargauge'}
      renderValue={(each) => draw({ ...each, options, theme })}
    />
  );
}

function Stat({ value, width, height, alignmentFactors, count, options, theme }) {
  const { colorMode, justifyMode, textMode } = options;
  const look = { colorMode, justifyMode, textMode, graphMode: 'none' };
  return <BigValue {...{ width, height, alignmentFactors, count, theme, ...look }} value={value.display} />;
}

function Bar({ value, width, height, alignmentFactors, orientation, options, theme }) {
  const { display, field, view, colIndex } = value;
  return (
    <BarGauge
      {...{ width, height, alignmentFactors, orientation, theme, field }}
      value={display}
      display={view?.getFieldDisplayProcessor(colIndex ?? 0)}
      displayMode={options.displayMode}
      valueDisplayMode={options.valueMode}
      namePlacement={options.namePlacement}
      showUnfilled={options.showUnfilled}
      itemSpacing={8}
    />
  );
}
