// One dashboard as Grafana lays it out, with what Prometheus answered to its queries: data.json, from ../answers.py.
import { createTheme, dateTime, standardTransformers, standardTransformersRegistry, ThemeContext } from '@grafana/data';
import { GlobalStyles, PanelChrome } from '@grafana/ui';
import { createRoot } from 'react-dom/client';
import { drawn } from './panels.jsx';
import { framesOf } from './frames.js';

const WIDTH = 1600;
const EDGE = 16;
const GAP = 8;
const ROW = 30; // pixels of one unit of height, without the gap
const COLUMN = (WIDTH - 2 * EDGE + GAP) / 24;
const HEADER = 56;

const theme = createTheme({ colors: { mode: 'dark' } });
standardTransformersRegistry.setInit(() =>
  [standardTransformers.mergeTransformer, standardTransformers.organizeFieldsTransformer].map((each) => ({
    ...each,
    transformation: async () => each,
  }))
);

function placed({ x, y, w, h }) {
  return {
    position: 'absolute',
    left: EDGE + x * COLUMN,
    top: HEADER + y * (ROW + GAP),
    width: w * COLUMN - GAP,
    height: h * (ROW + GAP) - GAP,
  };
}

function Row({ panel }) {
  const style = { ...placed(panel.gridPos), font: `500 16px/${ROW}px ${theme.typography.fontFamily}` };
  return <div style={style}>⌄ {panel.title}</div>;
}

function Panel({ panel, frames, answers, timeRange }) {
  const style = placed(panel.gridPos);
  const padding = panel.type === 'table' ? 'none' : 'md';
  return (
    <div style={style}>
      <PanelChrome title={panel.title} width={style.width} height={style.height} padding={padding}>
        {(width, height) => drawn({ panel, frames, width, height, timeRange, theme, annotations: answers.annotations })}
      </PanelChrome>
    </div>
  );
}

function Dashboard({ dashboard, answers, frames }) {
  const timeRange = { from: dateTime(answers.from), to: dateTime(answers.to) };
  timeRange.raw = timeRange;
  const heading = { position: 'absolute', left: EDGE, right: EDGE, top: 16, display: 'flex', gap: 24 };
  return (
    <>
      <div style={heading}>
        <b style={{ fontSize: 18 }}>{dashboard.title}</b>
        <span style={{ color: theme.colors.text.secondary, lineHeight: '27px' }}>{answers.chosen}</span>
      </div>
      {dashboard.panels.map((panel) =>
        panel.type === 'row' ? (
          <Row key={panel.id} panel={panel} />
        ) : (
          <Panel key={panel.id} {...{ panel, answers, timeRange }} frames={frames[panel.id]} />
        )
      )}
    </>
  );
}

async function draw() {
  const { dashboard, answers } = await (await fetch('data.json')).json();
  const panels = dashboard.panels.filter((panel) => panel.type !== 'row');
  const all = await Promise.all(panels.map((panel) => framesOf(panel, answers, theme)));
  const frames = Object.fromEntries(panels.map((panel, place) => [panel.id, all[place]]));
  const bottom = Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h));
  document.body.style.height = `${HEADER + bottom * (ROW + GAP) + EDGE}px`;
  await Promise.all([document.fonts.load('400 14px Inter'), document.fonts.load('500 14px Inter')]);
  createRoot(document.getElementById('dashboard')).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <Dashboard {...{ dashboard, answers, frames }} />
    </ThemeContext.Provider>
  );
}

draw().catch((error) => {
  document.title = `failed: ${error.stack}`;
});
