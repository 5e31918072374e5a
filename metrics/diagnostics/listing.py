"""The catalogue as a listing, one line a metric family: a table for terminals, Markdown, or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..catalogue import GROUPS, LABEL_LIMITS, SERIES_BUDGET, every_signal
from ..rows import Metric
from .check import most_series

COLUMNS = ("name", "type", "labels", "signal", "most_series")


def describe_families(
    catalogue: Sequence[Metric], namespace: str, label_limits: Mapping[str, int] = LABEL_LIMITS
) -> Iterator[dict[str, Any]]:
    """Yield a description of each metric family, its rows together, as JSON writes it."""
    for name in dict.fromkeys(row.name for row in catalogue):
        rows = [row for row in catalogue if row.name == name]
        first = rows[0]
        signals = dict.fromkeys(signal for row in rows for signal in row.signals)
        yield {
            "name": f"{namespace}_{name}" if namespace else name,
            "type": "gauge" if first.kind == "in_flight" else first.kind,
            "labels": list(first.label_names),
            "signal": ", ".join("every signal" if signal is every_signal else signal.name for signal in signals),
            "most_series": most_series(rows, label_limits),
            "help": first.help,
            "buckets": list(first.buckets),
        }


def cells(family: Mapping[str, Any]) -> list[str]:
    """Return the columns of one family as text."""
    return [", ".join(value) if isinstance(value := family[column], list) else str(value) for column in COLUMNS]


def format_table(families: Sequence[Mapping[str, Any]]) -> str:
    """Return a table whose columns are aligned with spaces."""
    return align_columns([[column.replace("_", " ") for column in COLUMNS], *map(cells, families)])


def align_columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines of text whose columns are aligned with spaces."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def format_groups(label_limits: Mapping[str, int] = LABEL_LIMITS) -> str:
    """Return a table of the catalogue's groups: how many families each has, and its share of the series budget."""
    rows = [["group", "families", "most series", "share of budget"]]
    for name, group in GROUPS.items():
        series = most_series(group, label_limits)
        families = len({row.name for row in group})
        rows.append([name, str(families), f"{series:,}", f"{series / SERIES_BUDGET:.1%}"])
    return align_columns(rows)


def format_markdown(families: Sequence[Mapping[str, Any]]) -> str:
    """Return a Markdown table with the help texts, as in ``docs/metrics.md``."""
    lines = ["| metric | type | labels | signal | at most | meaning |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {' | '.join([f'`{name}`', *rest, family['help']])} |"
        for family in families
        for name, *rest in [cells(family)]
    ]
    return "\n".join(lines)


def format_json(families: Sequence[Mapping[str, Any]]) -> str:
    """Return a JSON list of objects, buckets included."""
    return json.dumps(families, indent=2)


FORMATS: Mapping[str, Callable[[Sequence[Mapping[str, Any]]], str]] = {
    "table": format_table,
    "markdown": format_markdown,
    "json": format_json,
}
