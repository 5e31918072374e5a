"""The rows of a catalogue: their labels, their signals, and how many series they can create."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import pytest
from blinker import Namespace

from events import workflow_finished, workflow_run
from events.bus.fields import Bytes, Label, Seconds
from events.bus.signal import Signal
from metrics import LABEL_LIMITS, Metric, counter, gauge, histogram, in_flight
from metrics.rows import RowOptions


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


def test_literals_enums_and_booleans_are_closed_labels() -> None:
    row = counter("things_total", "Things.", thing_done, labels=("name", "colour", "cached", "direction"))
    assert row.closed_label_values == (None, ("red",), ("false", "true"), ("up", "down"))


def test_most_series_counts_every_label_at_its_limit_and_the_reserved_values() -> None:
    row = counter("things_total", "Things.", thing_done, labels=("name", "direction"))
    assert row.most_series({"name": 5}) == (5 + 2) * (2 + 1)


def test_a_histogram_has_a_series_for_each_bucket_infinity_sum_and_count() -> None:
    row = histogram("thing_seconds", "Time.", thing_done, value="duration", buckets=(1, 2))
    assert row.most_series(LABEL_LIMITS) == 5


def test_an_in_flight_row_has_both_signals_of_its_span() -> None:
    row = in_flight("active_workflows", "h", workflow_run, labels=("workflow_type",))
    assert row.signals == (workflow_run.started, workflow_finished)


@pytest.mark.parametrize("declare", [counter, histogram, gauge, in_flight])
def test_the_help_of_a_function_that_makes_rows_names_the_options_that_the_kind_takes(declare: Any) -> None:
    named = {name for name in RowOptions.__annotations__ if f"``{name}``" in declare.__doc__}
    of_gauges = {"multiprocess_mode", "expires_after"}
    assert named == {*RowOptions.__annotations__} - (set() if declare is gauge else of_gauges)


def test_the_help_of_a_row_explains_every_option() -> None:
    assert [name for name in RowOptions.__annotations__ if f"``{name}" not in (Metric.__doc__ or "")] == []
