"""The rules that a row of the catalogue is checked by when it is declared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Any, Literal, get_args

from events import Signal
from events.bus.fields import Measure, OpenLabel, PairingKey, may_be_number

from .alert_when import alert_errors
from .event_fields import field_types, find_annotation, label_text, pairing_field, possible_values

if TYPE_CHECKING:
    from .rows import Metric

Kind = Literal["counter", "gauge", "histogram", "in_flight"]
MultiprocessMode = Literal["livesum", "livemax", "livemin", "livemostrecent", "max", "min"]
"""What a gauge shows of several processes, in prometheus_client's words: ``live`` counts living processes alone."""


def row_errors(row: Metric) -> Iterator[str]:
    """Yield each error in a row: in its options, name, labels, conditions, value and signals."""
    if wrong := [*type_errors(row)]:
        yield from wrong
        return
    yield from option_errors(row)
    yield from name_errors(row)
    fields = field_types(row.signal)
    used = (*row.labels, *row.where, *([row.value] if row.value else []))
    if missing := [name for name in used if name not in fields]:
        yield f"{row.signal.name} has no field {', '.join(map(repr, missing))}; it has {', '.join(fields)}"
        return
    yield from label_errors(row, fields)
    yield from where_errors(row, fields)
    yield from default_errors(row, fields)
    yield from value_errors(row, fields)
    for signal in row.signals[1:]:
        if absent := {*row.labels, pairing_field(row.signal)} - {*field_types(signal)}:
            yield (
                f"{signal.name} lacks {', '.join(sorted(absent))}: every signal of a row has the fields of its labels,"
                " and the Key that pairs it with the others"
            )


def type_errors(row: Metric) -> Iterator[str]:
    """Yield the options that are of another type than they have to be, each with what to write instead."""
    for name in ("name", "help"):
        if not isinstance(text := getattr(row, name), str):
            yield f"{name} is a text, got {text!r}"
    for name in ("signal", "resumed", "finished", "released"):
        signal = getattr(row, name)
        if not isinstance(signal, Signal) and (name == "signal" or signal is not None):
            yield f"{name} is a signal of events, {describe_no_signal(signal)}"
    labels: Any = row.labels
    if not isinstance(labels, (tuple, list)) or not all(isinstance(label, str) for label in labels):
        example = f"({labels!r},)" if isinstance(labels, str) else '("model",)'
        yield f"labels is a tuple of names of fields, as {example} is, got {labels!r}"
    value: Any = row.value
    if value is not None and not isinstance(value, str):
        yield f"value is the name of a field, got {value!r}"
    for name in ("where", "default", "const_labels", "rename", "nested_in", "expected"):
        if not isinstance(mapping := getattr(row, name), Mapping):
            yield f'{name} is a mapping from names, as {{"model": ...}} is, got {mapping!r}'
    if not isinstance(row.buckets, tuple) or not all(
        isinstance(bound, (int, float)) and not isinstance(bound, bool) for bound in row.buckets
    ):
        yield f"buckets are upper bounds in ascending order, as (0.1, 1, 10) are, got {row.buckets!r}"


def describe_no_signal(value: object) -> str:
    """Return what is wrong with what stands in the place of a signal, and what to write instead."""
    if isinstance(value, type):
        return f"got the class {value.__name__}: give what Signal({value.__name__}) returned where it was declared"
    return f"got {value!r:.60}: give what Signal(...) returned where it was declared"


def option_errors(row: Metric) -> Iterator[str]:
    """Yield the options whose value is none of those that there are, and those that the row's kind does not take."""
    if row.kind not in get_args(Kind):
        yield f"kind is one of {', '.join(get_args(Kind))}, got {row.kind!r}"
    if row.multiprocess_mode is not None and row.kind != "gauge":
        yield f"multiprocess_mode is for gauges; over processes a {row.kind} is always a sum"
    if row.multiprocess_mode not in (None, *get_args(MultiprocessMode)):
        yield f"multiprocess_mode is one of {', '.join(get_args(MultiprocessMode))}, got {row.multiprocess_mode!r}"
    if row.expires_after is not None and (row.kind != "gauge" or not row.label_names):
        yield "expires_after is for gauges with labels"
    if type(row.native_schema) is not int or not -4 <= row.native_schema <= 8:
        yield f"native_schema is a whole number from -4 to 8, got {row.native_schema!r}"
    if type(row.native_max_buckets) is not int or row.native_max_buckets < 1:
        yield f"native_max_buckets is a whole number of buckets, got {row.native_max_buckets!r}"
    yield from alert_errors(row.alert)
    if row.expires_after is not None and not 0 < row.expires_after < inf:
        yield f"expires_after is a number of seconds above 0, got {row.expires_after!r}"


def expectation_errors(row: Metric, fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield the labels and the values that are expected and can never come."""
    for name, expected in row.expected.items():
        if name not in row.labels:
            yield f"{name!r} is in expected, but is no label of the row"
        elif (closed := possible_values(fields[name])) is not None and (unfit := {*expected} - {*closed}):
            yield f"{unfit.pop()!r} is expected of {name!r}, which is never that; it is one of {', '.join(closed)}"


def label_name_errors(row: Metric) -> Iterator[str]:
    """Yield label names that Prometheus does not take, or that occur twice."""
    names = row.label_names
    for name in (*row.rename.values(), *row.const_labels):
        if not isinstance(name, str) or not re.fullmatch(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*", name):
            yield f"{name!r} is no label name: letters, digits and underscores, no digit first, not two underscores"
    if row.kind == "histogram" and "le" in names:
        yield "a histogram has a label 'le' of its own"
    if twice := [name for number, name in enumerate(names) if name in names[:number]]:
        yield f"label {twice[0]!r} occurs twice"


def name_errors(row: Metric) -> Iterator[str]:
    """Yield where a name breaks Prometheus's naming rules (prometheus.io/docs/practices/naming)."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", row.name):
        yield "a name is lower-case words joined by underscores"
    if row.kind == "counter" and not row.name.endswith("_total"):
        yield "a counter ends in _total"
    if row.kind == "gauge" and row.value is None and not row.name.endswith("_info"):
        yield "a gauge without a value is an info, whose name ends in _info"
    if row.kind != "counter" and row.name.endswith("_total"):
        yield f"a {row.kind} does not end in _total"


def label_errors(row: Metric, fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield the labels that the event's fields cannot be, and nestings and names that make no sense."""
    for name in row.labels:
        if possible_values(fields[name]) is None and find_annotation(fields[name], OpenLabel) is None:
            yield f"{name!r} of {row.signal.name} is not a label: {describe_no_label(fields[name])}"
    for name, outer in row.nested_in.items():
        if name == outer or not {name, outer} <= {*row.labels}:
            yield f"{name!r} can't be nested in {outer!r}: name two fields, both of them in labels"
        elif possible_values(fields[name]) is not None and row.initialize:
            yield f"{name!r} is closed: nested in {outer!r} it needs initialize=False, else all pairs exist at once"
    if len({*row.nested_in.values()} | {*row.nested_in}) < 2 * len(row.nested_in):
        yield "nested_in takes pairs of labels that have none in common"
    yield from expectation_errors(row, fields)
    if unused := {*row.rename} - {*row.labels}:
        yield f"{unused.pop()!r} is in rename, but not in labels"
    if overlap := {*row.label_names[: len(row.labels)]} & {*row.const_labels}:
        yield f"label {overlap.pop()!r} is both a field and in const_labels"
    yield from label_name_errors(row)


def describe_no_label(field_type: Any) -> str:
    """Return why a field of this type is no label, and what to do."""
    if measure := find_annotation(field_type, Measure):
        return f"it is a measure in {measure.unit}, for the value of a row"
    if find_annotation(field_type, PairingKey):
        return "it is a Key, which is another one for every piece of work"
    return (
        "annotate it as Label (a text) or Code (a number) if it has few values, or as a Literal or an enum if they are"
        " known; what has a new value each time, as ids have, is for logs"
    )


def where_errors(row: Metric, fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield the conditions that no event can meet, and those on fields whose values are not known beforehand."""
    for name, value in row.where.items():
        if (values := possible_values(fields[name])) is None:
            yield f"{name!r} of {row.signal.name} can't be in where: its values are not known beforehand"
        elif label_text(value) not in values:
            yield f"{name!r} of {row.signal.name} is never {value!r}; it is one of {', '.join(values)}"


def default_errors(row: Metric, fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield the defaults of what is no label of the row, and those that are no value of a closed one."""
    for name, value in row.default.items():
        if name not in row.labels:
            yield f"default of {name!r} is for no label of the row"
        elif (values := possible_values(fields[name])) is not None and value not in values:
            yield f"default of {name!r} is {value!r}, which is no value of this closed label"
        elif not isinstance(value, str) or not value:
            yield f"default of {name!r} is {value!r}, which is no text"


def value_errors(row: Metric, fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield a value that is no number, a unit that the name does not show, and buckets that do not ascend."""
    if row.value and not may_be_number(fields[row.value]):
        numbers = [
            name for name, hint in fields.items() if may_be_number(hint) and not find_annotation(hint, OpenLabel)
        ]
        advice = f"these are: {', '.join(numbers)}" if numbers else "leave value out to count events"
        yield f"{row.value!r} of {row.signal.name} is no number, so it cannot be the value; {advice}"
    if (
        row.value
        and (measure := find_annotation(fields[row.value], Measure))
        and not {measure.unit, measure.unit.removesuffix("s")} & {*row.name.split("_")}
    ):
        yield f"{row.value!r} of {row.signal.name} is in {measure.unit}, the name should say so"
    if (
        row.kind == "gauge"
        and row.name.endswith("_info")
        and row.value
        and possible_values(fields[row.value]) != ("1",)
    ):
        yield f"{row.value!r} is no value of an info: annotate it as `Literal[1] | None`, 1 until what it is of is gone"
    if row.kind == "histogram" and (not row.buckets or any(a >= b for a, b in pairwise(row.buckets))):
        yield f"buckets must ascend, got {row.buckets}"
