"""A row that cannot work is an error where it is declared, in words that say what to change."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import pytest
from blinker import Namespace

from events import agent_finished, agent_run, http_request_finished, llm_called
from events.bus.fields import Bytes, Label, Seconds
from events.bus.signal import Signal
from metrics import counter, gauge, histogram, in_flight


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


thing_done = Signal(ThingDone, namespace=Namespace())


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
    ],
)
def test_a_row_that_cannot_work_is_an_error(declare: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        declare()


def test_the_message_names_the_metric() -> None:
    with pytest.raises(TypeError, match=r"^agent_runs: a counter"):
        counter("agent_runs", "h", agent_finished)


def test_a_measure_that_may_be_unknown_keeps_its_unit() -> None:
    assert counter("thing_size_bytes_total", "Bytes.", thing_done, value="size").value == "size"
