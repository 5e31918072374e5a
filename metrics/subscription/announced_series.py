"""The series of events that are announced: created at 0, as far as the labels have room, before the first event."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from events.bus.log_throttle import LogThrottle

from ..event_fields import label_text
from ..rows import OTHER, Metric
from .label_limits import LabelLimiter
from .series import FamilySeries

Rows = Sequence[tuple[Metric, FamilySeries]]

log = logging.getLogger("metrics")
_throttle = LogThrottle()


def create_announced(signal: str, rows: Rows, limiter: LabelLimiter, fields: Mapping[str, Any]) -> None:
    """Create the series that an event with these fields adds to, as far as the labels have room for them.

    Of an announcement that no row can create a series by, the log says what it lacks.
    """
    problems: list[str] = []
    useful = False
    for row, family in rows:
        if row.kind in ("in_flight", "gauge") or not row.labels or not row.takes(fields):
            continue
        if wants_no_zero(row, fields):
            useful = True
            continue
        problem = "; ".join(row_problems(row, fields))
        if problem:
            problems.append(f"{family.name} {problem}")
            continue
        useful = True
        texts = announced_texts(row, limiter, fields)
        if texts and OTHER not in texts.values():
            family.initialize_announced(texts)
    if problems and not useful and _throttle.is_due((signal, tuple(fields))):
        names = ", ".join(f"{name}=..." for name in fields)
        log.warning("%s.announce(%s) creates no series, so the first event is not seen as an increase: %s",
                    signal, names, problems[0])  # fmt: skip


def wants_no_zero(row: Metric, fields: Mapping[str, Any]) -> bool:
    """Return whether a row says itself that it has no series before an event: a histogram, or one by closed causes."""
    if row.initialize:
        return False
    absent = {name: closed for name, closed in row.label_sets() if name not in fields and name not in row.expected}
    return row.kind == "histogram" or (bool(absent) and None not in absent.values())


def row_problems(row: Metric, fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield why an announcement with these fields creates no series of a row, whatever room its labels have."""
    absent = [
        name
        for name, closed in row.label_sets()
        if name not in fields and name not in row.expected and (closed is None or not row.initialize)
    ]
    if absent:
        yield f"needs {' and '.join(absent)} too: name every label of it whose values are not known beforehand"
    for name, closed in row.label_sets():
        if closed is not None and name in fields and label_text(fields[name]) not in closed:
            yield f"has no {name} {label_text(fields[name])[:40]!r}; it is one of {', '.join(sorted(closed))}"


def create_failures(rows: Rows, limiter: LabelLimiter, failures: Sequence[Mapping[str, Any]]) -> None:
    """Create the series of counters that these failures are counted by, if the labels have room for all of them."""
    found = [
        (row, family, fields)
        for row, family in rows
        for fields in failures
        if row.kind == "counter" and row.value is None and row.takes(fields) and fields.keys() >= {*row.labels}
    ]
    values: dict[str, set[str | tuple[str, str]]] = {}
    pairs: dict[str, set[str | tuple[str, str]]] = {}
    for row, _, fields in found:
        for label, closed in row.label_sets():
            if closed is None:
                values.setdefault(label, set()).add(label_text(fields[label]))
            if label in row.nested_in:
                pair = label_text(fields[row.nested_in[label]]), label_text(fields[label])
                pairs.setdefault(label, set()).add(pair)
    if all(limiter.has_room(label, wanted) for each in (values, pairs) for label, wanted in each.items()):
        for row, family, fields in found:
            texts = announced_texts(row, limiter, fields)
            if OTHER not in texts.values():
                family.initialize_announced(texts)


def announced_texts(row: Metric, limiter: LabelLimiter, fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of those labels of a row that are announced, each as text, or ``other`` past its limit."""
    texts: dict[str, str] = {}
    for label, closed in sorted(row.label_sets(), key=lambda each: each[0] in row.nested_in):  # nested ones last
        if label not in fields:
            continue
        text = texts[label] = label_text(fields[label])
        if closed is not None and text not in closed:
            texts[label] = OTHER
        elif closed is None or label in row.nested_in:
            texts[label] = limiter.admit(label, text, texts.get(row.nested_in.get(label, "")))
    return texts
