"""The catalogue as a listing, one line a metric family: a table for terminals, Markdown, or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..catalogue import CATALOGUE, GROUPS, LABEL_LIMITS, OPTIONAL, SERIES_BUDGET, every_signal
from ..event_fields import label_text
from ..rows import Metric
from .check import most_series

MODES: Mapping[str, str] = {
    "livesum": "the sum of those that live",
    "livemax": "the largest of those that live",
    "livemin": "the least of those that live",
    "livemostrecent": "the last that was set, by one that lives",
    "max": "the largest there ever was",
    "min": "the least there ever was",
}
"""What a gauge shows of several workers, by its row's ``multiprocess_mode``."""

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
            "counted": ", ".join(dict.fromkeys(words for row in rows for words in counted_events(row))),
            "at_zero_from": at_zero_from(first),
            "multiprocess_mode": (first.multiprocess_mode or "livesum") if first.kind in {"gauge", "in_flight"} else "",
            "expires_after": first.expires_after,
        }


def counted_events(row: Metric) -> Iterator[str]:
    """Yield the name of each signal that updates a row, with the values that fields of its event must have."""
    conditions = ", ".join(f"{name}: {label_text(value)}" for name, value in row.where.items())
    for signal in row.signals:
        name = "every signal" if signal is every_signal else signal.name
        yield f"{name} ({conditions})" if conditions else name


def at_zero_from(row: Metric) -> str:
    """Return when a row's series exist at 0: from the start, from when its open labels' values are known, or never.

    Where those of some values alone do, these stand behind it. Never means with their first event; then the text is
    empty.
    """
    if row.kind == "gauge" or not (row.initialize or row.expected or not row.label_names):
        return ""
    open_labels = [name for name, values in zip(row.labels, row.closed_label_values, strict=True) if values is None]
    since = ", ".join(row.rename.get(name, name) for name in open_labels if name not in row.expected) or "the start"
    expected = "; ".join(f"{row.rename.get(name, name)} {', '.join(values)}" for name, values in row.expected.items())
    begin = since if row.initialize or not row.label_names else "the first event"
    return f"{begin} ({expected})" if expected else begin


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


def format_groups(
    label_limits: Mapping[str, int] = LABEL_LIMITS, catalogue: Sequence[Metric] = CATALOGUE + OPTIONAL
) -> str:
    """Return a table of the groups, as ``--catalogue`` names them, and of the rows that are of none of them.

    Each has its number of families, its series, their share of the budget, and how many families the catalogue takes.
    """
    rows = [["group", "families", "most series", "share of budget", "taken"]]
    package = __name__.partition(".diagnostics")[0]  # as a project imports it
    groups = {f"{package}:{name.upper()}": group for name, group in GROUPS.items()}
    ours = {id(row) for group in GROUPS.values() for row in group}
    if own := tuple(row for row in catalogue if id(row) not in ours):
        groups["others"] = own
    names = {row.name for row in catalogue}
    for name, group in groups.items():
        series = most_series(group, label_limits)
        families = {row.name for row in group}
        taken = len(families & names)
        in_words = "all" if taken == len(families) else str(taken or "none")
        rows.append([name, str(len(families)), f"{series:,}", f"{series / SERIES_BUDGET:.1%}", in_words])
    return align_columns(rows)


def format_markdown(families: Sequence[Mapping[str, Any]]) -> str:
    """Return the catalogue as in ``docs/metrics.md``: Markdown tables of families, of buckets and of gauges."""
    rows = [
        [f"`{name}`", kind, labels, family["counted"], most, family["at_zero_from"], family["help"]]
        for family in families
        for name, kind, labels, _, most in [cells(family)]
    ]
    header = ["metric", "type", "labels", "signal", "at most", "at 0 from", "meaning"]
    ladders = group_names(families, lambda family: ", ".join(f"{bound:.12g}" for bound in family["buckets"]))
    modes = group_names(families, describe_gauge)
    return "\n".join(
        [
            *markdown_table(header, rows),
            *("", "## Buckets", "", "The upper bounds of histograms; above the last one is `+Inf`.", ""),
            *markdown_table(["bounds", "histograms"], ladders),
            *("", "## Gauges of several workers", "", "What a gauge shows where several worker processes set it.", ""),
            *markdown_table(["shows", "gauges"], modes),
        ]
    )


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    return [f"| {' | '.join(header)} |", "|---" * len(header) + "|", *(f"| {' | '.join(row)} |" for row in rows)]


def group_names(
    families: Iterable[Mapping[str, Any]], describe: Callable[[Mapping[str, Any]], str]
) -> Iterator[tuple[str, str]]:
    """Yield each description with the names of the families that have it; an empty one is left out."""
    names: dict[str, list[str]] = {}
    for family in families:
        names.setdefault(describe(family), []).append(f"`{family['name']}`")
    yield from ((text, ", ".join(names[text])) for text in names if text)


def describe_gauge(family: Mapping[str, Any]) -> str:
    """Return what a gauge shows of several workers, and when its series go; an empty text for other kinds."""
    seconds = family["expires_after"]
    return MODES.get(family["multiprocess_mode"], "") + (f"; gone {seconds:g} s after it" if seconds else "")


def format_json(families: Sequence[Mapping[str, Any]]) -> str:
    """Return a JSON list of objects, with all that is known of each family."""
    return json.dumps(families, indent=2)


FORMATS: Mapping[str, Callable[[Sequence[Mapping[str, Any]]], str]] = {
    "table": format_table,
    "markdown": format_markdown,
    "json": format_json,
}
