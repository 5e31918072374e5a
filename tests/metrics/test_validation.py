"""A row that cannot work is an error where it is declared, in words that say what to change."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import pytest
from blinker import Namespace

import metrics
from events import agent_finished, agent_run, http_request_finished, llm_called
from events.bus.fields import Bytes, Label, Seconds
from events.bus.signal import Signal
from metrics import Metric, counter, gauge, histogram, in_flight
from metrics.rows import info


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True, kw_only=True)
class ThingDone:
    """Something with every kind of label was done."""

    name: Label
    colour: Colour
    cached: bool
    direction: Literal["up", "down"]
    size: Bytes | None = None
    duration: Seconds = 0.0
    note: str = ""
    present: Literal[1] | None = 1


thing_done = Signal(ThingDone, namespace=Namespace())


@dataclass(frozen=True, kw_only=True)
class Unread:
    """A type of it is for type checkers alone."""

    name: Hidden  # type: ignore[name-defined]  # noqa: F821


unread = Signal(Unread, namespace=Namespace())


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (
            lambda: counter("runs_total", "h", agent_finished, labels=("agent",)),
            "agent_finished has no field 'agent'; it",
        ),
        (
            lambda: counter("runs_total", "h", agent_finished, labels=("run_id",)),
            "'run_id' of agent_finished is not a lab",
        ),
        (
            lambda: counter("runs_total", "h", agent_finished, labels=("duration",)),
            "'duration' of agent_finished is not a",
        ),
        (lambda: counter("runs", "h", agent_finished), "a counter ends in _total"),
        (lambda: gauge("runs_total", "h", agent_finished, value="llm_calls"), "a gauge does not end in _total"),
        (lambda: counter("Runs_total", "h", agent_finished), "lower-case words"),
        (
            lambda: histogram("run_ms", "h", agent_finished, value="duration", buckets=(1,)),
            "is in seconds, the name sho",
        ),
        (lambda: counter("size_total", "h", thing_done, value="size"), "'size' of thing_done is in bytes"),
        (lambda: histogram("x_seconds", "h", agent_finished, value="duration", buckets=(2, 1)), "buckets must ascend"),
        (lambda: histogram("x_seconds", "h", agent_finished, value="duration", buckets=()), "buckets must ascend"),
        (lambda: counter("runs_total", "h", agent_finished, where={"status": "ok"}), "is never 'ok'; it is one of suc"),
        (lambda: counter("runs_total", "h", agent_finished, where={"state": "ok"}), "has no field 'state'"),
        (
            lambda: counter("x_total", "h", llm_called, labels=("model",), const_labels={"model": "m"}),
            "both a field and in const_labels",
        ),
        (lambda: in_flight("x", "h", agent_run, labels=("status",)), "agent_started has no field 'status'"),
        (lambda: in_flight("x", "h", agent_run, resumed=http_request_finished), "http_request_finished lacks"),
        (
            lambda: counter("x_total", "h", llm_called, labels=("model",), rename={"model": "the-model"}),
            "'the-model' is no label name",
        ),
        (
            lambda: counter("x_total", "h", llm_called, labels=("model",), rename={"model": "__model"}),
            "'__model' is no label name",
        ),
        (lambda: counter("x_total", "h", llm_called, const_labels={"1st": "a"}), "'1st' is no label name"),
        (
            lambda: counter("x_total", "h", thing_done, labels=("name", "direction"), rename={"name": "direction"}),
            "label 'direction' occurs twice",
        ),
        (
            lambda: histogram("x_bytes", "h", thing_done, value="size", buckets=(1,), const_labels={"le": "a"}),
            "a histogram has a label 'le' of its own",
        ),
        (lambda: histogram("x_seconds", "h", thing_done, value="duration", buckets=(1, 1)), "buckets must ascend"),
        (
            lambda: histogram("x_seconds_total", "h", thing_done, value="duration", buckets=(1,)),
            "does not end in _total",
        ),
        (
            lambda: gauge("thing_info_seconds_info", "h", thing_done, value="duration"),
            "'duration' is no value of an info: annotate it as `Literal[1] | None`",
        ),
        (lambda: info("thing", "h", thing_done, labels=("name",), nested_in={}), "an info, whose name ends in _info"),
        (lambda: counter("x_total", "h", thing_done, multiprocess_mode="max"), "multiprocess_mode is for gauges"),
        (
            lambda: counter("x_total", "h", thing_done, labels=("name",), expires_after=1.0),
            "expires_after is for gauges with labels",
        ),
        (
            lambda: gauge("x_seconds", "h", thing_done, value="duration", expires_after=1.0),
            "expires_after is for gauges with labels",
        ),
        (
            lambda: counter("x_total", "h", thing_done, where={"name": "a"}),
            "'name' of thing_done can't be in where: its values are not known beforehand",
        ),
        (
            lambda: counter("x_total", "h", thing_done, labels=("name",), nested_in={"name": "name"}),
            "'name' can't be nested in 'name'",
        ),
        (
            lambda: counter("x_total", "h", thing_done, labels=("name",), nested_in={"name": "direction"}),
            "'name' can't be nested in 'direction'",
        ),
        (
            lambda: counter("x_total", "h", thing_done, labels=("name", "direction"), nested_in={"direction": "name"}),
            "'direction' is closed: nested in 'name' it needs initialize=False",
        ),
        (
            lambda: counter(
                "x_total",
                "h",
                llm_called,
                labels=("model", "provider", "agent_name"),
                nested_in={"model": "provider", "agent_name": "provider"},
            ),
            "nested_in takes pairs of labels that have none in common",
        ),
        (
            lambda: counter(
                "x_total",
                "h",
                llm_called,
                labels=("model", "provider", "agent_name"),
                nested_in={"model": "provider", "provider": "agent_name"},
            ),
            "nested_in takes pairs of labels that have none in common",
        ),
        (lambda: counter("x_total", "h", thing_done, rename={"name": "who"}), "'name' is in rename, but not in labels"),
        (
            lambda: counter("x_total", "h", thing_done, default={"direction": "up"}),
            "default of 'direction' is for no label of the row",
        ),
        (
            lambda: counter("x_total", "h", thing_done, labels=("direction",), default={"direction": "left"}),
            "default of 'direction' is 'left', which is no value of this closed label",
        ),
        (
            lambda: counter("x_total", "h", thing_done, labels=("name",), default={"name": ""}),
            "default of 'name' is '', which is no text",
        ),
        (
            lambda: counter("x_total", "h", thing_done, labels=("name",), default={"name": 7}),  # type: ignore[dict-item]
            "default of 'name' is 7, which is no text",
        ),
        (
            lambda: counter("x_total", "h", thing_done, const_labels={7: "a"}),  # type: ignore[dict-item]
            "7 is no label name",
        ),
    ],
)
def test_a_row_that_cannot_work_is_an_error(declare: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        declare()


untyped: Any = metrics
"""So that type checkers, which find these mistakes too, let them pass."""


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (
            lambda: untyped.counter("x_total", "h", ThingDone),
            "x_total: signal is a signal of events, got the class ThingDone: give what Signal(ThingDone) returned",
        ),
        (
            lambda: untyped.counter("x_total", "h", "thing_done"),
            "signal is a signal of events, got 'thing_done'",
        ),
        (lambda: untyped.in_flight("x", "h", thing_done), "x: in_flight takes a span, got <"),
        (
            lambda: untyped.in_flight("x", "h", agent_run, released=ThingDone),
            "released is a signal of events, got the",
        ),
        (
            lambda: untyped.counter("x_total", "h", thing_done, labels="name"),
            "labels is a tuple of names of fields, as ('name',) is, got 'name'",
        ),
        (lambda: untyped.counter("x_total", "h", thing_done, labels=None), 'as ("model",) is, got None'),
        (
            lambda: untyped.counter("x_total", "h", thing_done, where="name"),
            'where is a mapping from names, as {"m',
        ),
        (lambda: untyped.counter("x_total", "h", thing_done, rename=("name",)), "rename is a mapping from names"),
        (lambda: untyped.counter(3, "h", thing_done), "name is a text, got 3"),
        (lambda: untyped.counter("x_total", None, thing_done), "help is a text, got None"),
        (lambda: untyped.counter("x_total", "h", thing_done, value=3), "value is the name of a field, got 3"),
        (
            lambda: untyped.histogram("x_seconds", "h", thing_done, value="duration", buckets=5),
            "buckets are upper bounds in ",
        ),
        (lambda: untyped.histogram("x_seconds", "h", thing_done, value="duration", buckets="12"), "got ('1', '2')"),
        (
            lambda: untyped.counter("x_total", "h", thing_done, value="name"),
            "'name' of thing_done is no number, so it cannot be the value; these are: cached, size, duration",
        ),
        (lambda: untyped.gauge("x", "h", thing_done, value="colour"), "'colour' of thing_done is no number"),
        (lambda: untyped.gauge("x", "h", thing_done, value="direction"), "'direction' of thing_done is no number"),
        (
            lambda: untyped.counter("x_total", "h", thing_done, labels=("nam", "sise")),
            "has no field 'nam', 'sise'; it ",
        ),
        (
            lambda: untyped.counter("x_total", "h", thing_done, labels=("note",)),
            "'note' of thing_done is not a label: annotate it as Label (a text) or Code (a number)",
        ),
        (
            lambda: untyped.counter("x_total", "h", thing_done, labels=("size",)),
            "it is a measure in bytes, for the v",
        ),
        (
            lambda: untyped.counter("x_total", "h", agent_finished, labels=(agent_run.key,)),
            "it is a Key, which is ano",
        ),
        (
            lambda: untyped.counter("x_total", "h", unread),
            "the fields of Unread cannot be read: name 'Hidden' is ",
        ),
    ],
)
def test_a_mistake_in_a_row_is_named_with_what_to_write(declare: Any, message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        declare()


def test_a_multiprocess_mode_that_there_is_not_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(TypeError, match="livesum, livemax, livemin, livemostrecent, max, min, got 'newest'"):
        gauge("x_seconds", "h", thing_done, value="duration", multiprocess_mode="newest")  # type: ignore[arg-type]


def test_a_kind_that_there_is_not_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(TypeError, match="counter, gauge, histogram, in_flight, got 'summary'"):
        Metric(kind="summary", name="x_seconds", help="h", signal=thing_done)  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_series_expires_after_a_time_above_zero(seconds: float) -> None:
    with pytest.raises(TypeError, match="expires_after is a number of seconds above 0"):
        gauge("x_seconds", "h", thing_done, value="duration", labels=("name",), expires_after=seconds)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"native_schema": 9}, "native_schema is a whole number from -4 to 8, got 9"),
        ({"native_schema": -5}, "native_schema is a whole number from -4 to 8, got -5"),
        ({"native_schema": 2.5}, "native_schema is a whole number from -4 to 8"),
        ({"native_schema": True}, "native_schema is a whole number from -4 to 8, got True"),
        ({"native_max_buckets": True}, "native_max_buckets is a whole number of buckets, got True"),
        ({"native_max_buckets": 0}, "native_max_buckets is a whole number of buckets, got 0"),
    ],
)
def test_exponential_buckets_are_of_a_schema_that_prometheus_knows(options: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        histogram("x_seconds", "h", thing_done, value="duration", buckets=(1, 2), **options)


def test_the_message_names_the_metric() -> None:
    with pytest.raises(TypeError, match=r"^agent_runs: a counter"):
        counter("agent_runs", "h", agent_finished)


def test_a_measure_that_may_be_unknown_keeps_its_unit() -> None:
    assert counter("thing_size_bytes_total", "Bytes.", thing_done, value="size").value == "size"


@pytest.mark.parametrize(
    "declare",
    [
        lambda: counter("x_total", "h", thing_done, labels=("name",), const_labels={"le": "a"}),
        lambda: counter("x_total", "h", thing_done, labels=("name",), default={"name": "nobody"}),
        lambda: counter("x_total", "h", thing_done, labels=("direction",), default={"direction": "up"}),
        lambda: counter("x_total", "h", thing_done, labels=("name",), rename={"name": "_who"}),
        lambda: counter("x_total", "h", thing_done, where={"cached": True, "colour": Colour.RED}),
        lambda: counter(
            "x_total", "h", thing_done, labels=("name", "direction"), nested_in={"direction": "name"}, initialize=False
        ),
        lambda: gauge("x_seconds", "h", thing_done, value="duration", labels=("name",), expires_after=0.5),
        lambda: gauge("x_seconds", "h", thing_done, value="duration", const_labels={"a": "b"}, expires_after=0.5),
        lambda: gauge("x_seconds", "h", thing_done, value="duration", multiprocess_mode="livesum"),
        lambda: info("thing_info", "h", thing_done, labels=("name",), nested_in={}),
        lambda: info("thing_info", "h", thing_done, labels=("name",), nested_in={}, value="present"),
        lambda: histogram("x_seconds", "h", thing_done, value="duration", buckets=(1,)),
        lambda: histogram("second_of_x", "h", thing_done, value="duration", buckets=(1, 2)),
        lambda: histogram("x_seconds", "h", thing_done, value="duration", buckets=(1, 2), native_schema=-4),
        lambda: histogram("x_seconds", "h", thing_done, value="duration", buckets=(1, 2), native_schema=8),
        lambda: histogram("x_seconds", "h", thing_done, value="duration", buckets=(1, 2), native_max_buckets=1),
    ],
)
def test_a_row_that_works_is_none(declare: Any) -> None:
    declare()
