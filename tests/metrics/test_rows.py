"""A row that can't work is refused where it is declared, in words that say what to change."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import pytest
from blinker import Namespace

from events import agent_finished, agent_run, http_request_finished, llm_called, workflow_finished, workflow_run
from events.bus.fields import Bytes, Label, Seconds
from events.bus.signal import Signal
from metrics import LABEL_LIMITS, counter, gauge, histogram, in_flight
from metrics.event_fields import label_text, possible_values


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True, kw_only=True)
class ThingDone:
    """Something with every kind of label was done."""

    name: Label
    colour: Colour
    cached: bool
    way: Literal["up", "down"]
    size: Bytes | None = None
    duration: Seconds = 0.0
    note: str = ""


thing_done = Signal(ThingDone, namespace=Namespace())


@pytest.mark.parametrize(
    ("declare", "complaint"),
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
    ],
)
def test_a_row_that_cannot_work_is_refused(declare: Any, complaint: str) -> None:
    with pytest.raises(TypeError, match=complaint):
        declare()


def test_the_complaint_names_the_metric() -> None:
    with pytest.raises(TypeError, match=r"^agent_runs: a counter"):
        counter("agent_runs", "h", agent_finished)


def test_literals_enums_and_booleans_are_closed_labels() -> None:
    row = counter("things_total", "Things.", thing_done, labels=("name", "colour", "cached", "way"))
    assert row.closed_label_values == (None, ("red",), ("false", "true"), ("up", "down"))


def test_a_measure_that_may_be_unknown_keeps_its_unit() -> None:
    assert counter("thing_size_bytes_total", "Bytes.", thing_done, value="size").value == "size"


def test_most_series_counts_every_label_at_its_bound_and_the_reserved_values() -> None:
    row = counter("things_total", "Things.", thing_done, labels=("name", "way"))
    assert row.most_series({"name": 5}) == (5 + 2) * (2 + 1)


def test_a_histogram_has_a_series_for_each_bucket_infinity_sum_and_count() -> None:
    row = histogram("thing_seconds", "Time.", thing_done, value="duration", buckets=(1, 2))
    assert row.most_series(LABEL_LIMITS) == 5


def test_in_flight_follows_both_signals_of_its_span() -> None:
    row = in_flight("active_workflows", "h", workflow_run, labels=("workflow_type",))
    assert row.signals == (workflow_run.started, workflow_finished)


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), ("", "unknown"), (None, "unknown"), (True, "true"), (404, "404"), (Colour.RED, "red")],
)
def test_label_values_are_written_as_text(value: object, text: str) -> None:
    assert label_text(value) == text


def test_plain_text_is_no_closed_label() -> None:
    assert possible_values(str) is None
