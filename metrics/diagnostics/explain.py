"""One family explained: the events that update it, the code that emits them, its labels, and what is built on it.

It is what ``python -m metrics explain FAMILY`` prints. The code is read, not run.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..catalogue import LABEL_LIMITS, every_signal
from ..event_fields import AnySignal, label_text
from ..rows import OTHER, Metric
from .listing import describe_families, describe_gauge
from .source_scan import scan_sources

SUFFIXES = ("_bucket", "_count", "_sum", "_created")
"""The ends of the names of a histogram's samples."""


class FamilyNotFound(LookupError):
    """No row of the catalogue has this name; the message has those that are alike."""


def explain(
    catalogue: Sequence[Metric],
    family: str,
    *,
    namespace: str = "",
    sources: Iterable[str] = (),
    label_limits: Mapping[str, int] = LABEL_LIMITS,
) -> dict[str, Any]:
    """Return all that is known of a family, as JSON writes it.

    Beside what `describe_families` yields, ``values`` has what each label may be, and ``rows`` what each event adds:
    its signal, where its class is declared, what it says of itself, its field that is the value, the conditions, and
    ``emitted``: each place, as ``file:line``, that emits it.

    Raises:
        FamilyNotFound: no row has the name.
        SourceNotFound: a source is not there.
    """
    name = find_family(catalogue, family, namespace)
    rows = [row for row in catalogue if row.name == name]
    (described,) = describe_families(rows, namespace, label_limits)
    emitted = scan_sources(sources).emitted
    return described | {
        "values": label_values(rows, label_limits),
        "rows": [
            {
                "signal": signal.name,
                "event": event_place(signal),
                "says": (inspect.getdoc(signal.event) or "").split("\n", 1)[0],
                "effect": describe_effect(row, signal),
                "where": {field: condition_text(value) for field, value in row.where.items()},
                "emitted": [f"{shorten(path)}:{line}" for path, line in emitted.get(signal.name, ())],
            }
            for row in rows
            for signal in row.signals
        ],
    }


def find_family(catalogue: Sequence[Metric], family: str, namespace: str = "") -> str:
    """Return the name of the row that a family's or a sample's name means, with or without the namespace.

    Raises:
        FamilyNotFound: no row has it.
    """
    names = {row.name: row.kind for row in catalogue}
    short = family.removeprefix(f"{namespace}_") if namespace else family
    for candidate in (short, *(short.removesuffix(end) for end in SUFFIXES if short.endswith(end)), f"{short}_total"):
        if candidate in names:
            return candidate
    alike = get_close_matches(short, names, n=3) or sorted(name for name in names if short and short in name)[:5]
    found = f": did you mean {', '.join(alike)}?" if alike else "; python -m metrics lists them"
    raise FamilyNotFound(f"no family of the catalogue is called {family!r}{found}")


def label_values(rows: Sequence[Metric], label_limits: Mapping[str, int]) -> dict[str, str]:
    """Return each label of a family with all that its rows put into it, in words."""
    values: dict[str, dict[str, None]] = {}  # a set that has an order
    for row in rows:
        for label, value in describe_labels(row, label_limits):
            values.setdefault(label, {})[value] = None
    return {label: ", ".join(texts) for label, texts in values.items()}


def condition_text(value: object) -> str:
    """Return a value that a field is to have; None is not the text that a label has for it, which others have too."""
    return "None" if value is None else label_text(value)


def describe_labels(row: Metric, label_limits: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Yield each label of a row with each value that it may have, or how many, in words."""
    for name, values in zip(row.labels, row.closed_label_values, strict=True):
        label = row.rename.get(name, name)
        outer = row.nested_in.get(name)
        if values is not None and outer is None:
            yield from ((label, value) for value in values)
        else:
            of_each = f" with {row.rename.get(outer, outer)}" if outer else ""
            yield label, f"at most {label_limits[name]}{of_each}, then {OTHER!r}"
    yield from row.const_labels.items()


def describe_effect(row: Metric, signal: AnySignal) -> str:
    """Return what an event of a signal does to a row's metric, in words."""
    if row.kind == "in_flight":
        return "one more is open" if signal in (row.signal, row.resumed) else "one less is open"
    if row.value is None:
        return "adds 1" if row.kind == "counter" else "is 1"
    verb = {"counter": "adds its", "histogram": "observes its", "gauge": "sets it to its"}[row.kind]
    return f"{verb} {row.value}"


def event_place(signal: AnySignal) -> str:
    """Return where the event of a signal is declared, as ``file:line``; an empty text where it has no source."""
    if signal is every_signal:
        return ""
    try:
        file, (_, line) = inspect.getsourcefile(signal.event), inspect.getsourcelines(signal.event)
    except (OSError, TypeError):
        return ""
    return f"{shorten(Path(file))}:{line}" if file else ""


def shorten(path: Path) -> str:
    """Return a path from the current folder on, if it is in there."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (OSError, ValueError):
        return str(path)


def format_explanation(family: Mapping[str, Any]) -> str:
    """Return an explanation as text for a terminal."""
    return "\n".join(explanation_lines(family))


def explanation_lines(family: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of an explanation: the family, its labels, the events that update it, who emits them."""
    yield f"{family['name']}  {family['type']}, at most {family['most_series']:,} series"
    yield f"  {family['help']}"
    if family["buckets"]:
        yield f"  buckets: {', '.join(f'{bound:.12g}' for bound in family['buckets'])}"
    if mode := describe_gauge(family):
        yield f"  of several workers: {mode}"
    if family["at_zero_from"]:
        yield f"  at 0 from: {family['at_zero_from']}"
    if family["values"]:
        yield "\nLabels"
        width = max(map(len, family["values"]))
        yield from (f"  {label:<{width}}  {values}" for label, values in family["values"].items())
    for title, users in family.get("used_by", {}).items():
        yield f"\n{title}"
        yield from (f"  {user}" for user in users)
    yield "\nEvents"
    for row in family["rows"]:
        where = ", ".join(f"{field}: {value}" for field, value in row["where"].items())
        yield f"  {row['signal']}{f' ({where})' if where else ''} {row['effect']}"
        if row["event"]:
            yield f"    {row['event']}  {row['says']}"
        yield from (f"    emitted at {place}" for place in row["emitted"])
        if row["signal"] == every_signal.name:
            yield "    by every signal that is emitted"
        elif not row["emitted"]:
            yield "    emitted nowhere in the sources: name the code that does by --source"
