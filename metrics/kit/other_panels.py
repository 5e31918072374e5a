"""A panel for every metric that no other dashboard shows: rows of one's own have theirs without another edit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..catalogue import GROUPS
from ..rows import Metric
from . import promql
from .panel_rows import A_MINUTE, Dashboard, Panel, Section, q
from .placeholders import NAME, family_of
from .recording_rules import resolved

UNITS = frozenset({"seconds", "bytes", "usd", "ratio"})
ABBREVIATIONS = {"cpu": "CPU", "db": "database", "http": "HTTP", "llm": "LLM", "usd": "USD"}


def other_dashboard(catalogue: Sequence[Metric], dashboards: Iterable[Dashboard]) -> Dashboard:
    """Return the dashboard of what is left, a section for each group of the catalogue and one for other rows."""
    families = {row.name for row in catalogue}
    shown = {family_of(name.removeprefix("NS_"), families) for name in names_in(dashboards)}
    sections: dict[str, dict[str, Panel]] = {}
    for row in catalogue:
        if row.name not in shown:
            sections.setdefault(group_of(row), {}).setdefault(row.name, panel_of(row))
    return Dashboard(
        uid="others",
        title="Everything else",
        what="Every metric that no other dashboard shows.",
        sections=tuple(Section(title=title, panels=tuple(panels.values())) for title, panels in sections.items()),
    )


def names_in(dashboards: Iterable[Dashboard]) -> Iterator[str]:
    """Yield the names that dashboards' queries have, those that their recorded series come from."""
    for dashboard in dashboards:
        for section in dashboard.sections:
            for panel in section.panels:
                for query in panel.queries:
                    yield from NAME.findall(resolved(query.expr))


def group_of(row: Metric) -> str:
    """Return the title of the group that a row belongs to."""
    name = next((name for name, group in GROUPS.items() if any(each is row for each in group)), "rows of your own")
    return as_title(name.lower().split("_"))


def panel_of(row: Metric) -> Panel:
    """Return a panel for one metric: a counter by the minute, a histogram's 95th percentile, a gauge as it is."""
    labels = ", ".join(row.label_names[:2])
    legend = " ".join(f"{{{{{label}}}}}" for label in row.label_names[:2]) or title_of(row)
    if row.kind == "histogram":
        return Panel(
            title=f"{title_of(row)}, p95",
            show="lines",
            queries=(q(promql.quantile(0.95, row.name, labels), legend),),
            empty="Nothing was observed.",
        )
    if row.kind == "counter":
        rate = promql.rate(row.name, labels)
        minute = row.value is None
        return Panel(
            title=f"{title_of(row)}, a {'minute' if minute else 'second'}",
            show="lines",
            unit=A_MINUTE if minute else "",
            queries=(q(f"{rate} * 60" if minute else rate, legend),),
            empty="Nothing was counted.",
        )
    return Panel(
        title=title_of(row),
        show="lines",
        queries=(q(promql.over_instances(row, labels), legend),),
        empty="It was not set.",
    )


def title_of(row: Metric) -> str:
    """Return a metric's name as a title: without its unit, which stands at the axis, and with its abbreviations."""
    words = row.name.removesuffix("_total").split("_")
    if len(words) > 1 and words[-1] in UNITS:
        words.pop()
    return as_title(words)


def as_title(words: Iterable[str]) -> str:
    """Return words as a title, with abbreviations as people write them."""
    title = " ".join(ABBREVIATIONS.get(word, word) for word in words)
    return title[0].upper() + title[1:]
