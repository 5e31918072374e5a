"""The rows of a catalogue: their labels, their signals, and how many series they can create."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import pytest
from blinker import Namespace
from prometheus_client import CollectorRegistry

from events import llm_configured, workflow_finished, workflow_run
from events.bus.fields import Bytes, Label, Seconds
from events.bus.signal import Signal
from metrics import LABEL_LIMITS, Metric, counter, gauge, histogram, in_flight, subscribe
from metrics.rows import RowOptions, info


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


@dataclass(frozen=True, kw_only=True)
class Noted:
    """Something was noted, of which something may be unknown."""

    name: Label
    note: Label | None
    cached: bool | None


thing_done = Signal(ThingDone, namespace=Namespace())
noted = Signal(Noted, namespace=Namespace())


def test_literals_enums_and_booleans_are_closed_labels() -> None:
    row = counter("things_total", "Things.", thing_done, labels=("name", "colour", "cached", "direction"))
    assert row.closed_label_values == (None, ("red",), ("false", "true"), ("up", "down"))


@pytest.mark.parametrize(
    ("options", "directions"),
    [
        ({}, ("up", "down")),
        ({"expected": {"direction": ("up",)}}, ("up",)),
        ({"initialize": False}, ()),
        ({"initialize": False, "expected": {"direction": ("up",)}}, ("up",)),
    ],
)
def test_the_values_of_a_closed_label_exist_at_0_unless_the_row_says_which(
    options: Any, directions: tuple[str, ...]
) -> None:
    row = counter("things_total", "Things.", thing_done, labels=("name", "direction"), **options)
    assert row.initial_label_values == (None, directions)


def test_series_of_a_histogram_begin_with_their_first_observation_unless_it_says_otherwise() -> None:
    plain = histogram("seconds", "h", thing_done, value="duration", buckets=(1.0,))
    assert (plain.initialize, plain.native_schema, plain.native_max_buckets) == (False, 3, 160)
    assert histogram("seconds", "h", thing_done, value="duration", buckets=(1.0,), initialize=True).initialize


def test_most_series_counts_every_label_at_its_limit_and_the_reserved_values() -> None:
    row = counter("things_total", "Things.", thing_done, labels=("name", "direction"))
    assert row.most_series({"name": 5}) == (5 + 2) * (2 + 1)


def test_of_nested_labels_the_limit_counts_pairs() -> None:
    """And each outer value, the reserved ones too, has an ``other``; an open label an ``unknown`` beside."""
    rows = [
        counter("things_total", "h", noted, labels=("name", "note"), nested_in={"name": "note"}),
        counter("things_total", "h", noted, labels=("cached", "note"), nested_in={"cached": "note"}, initialize=False),
    ]
    limits = {"name": 5, "note": 3, "cached": 4}
    assert [row.most_series(limits) for row in rows] == [5 + 2 * (3 + 2), 4 + 1 * (3 + 2)]


def test_an_info_is_a_gauge_that_no_process_takes_back() -> None:
    row = info("thing_info", "h", noted, labels=("name", "note"), nested_in={"name": "note"})
    assert (row.kind, row.value, row.initialize, row.multiprocess_mode) == ("gauge", None, False, "max")


def test_an_info_with_a_value_is_there_as_long_as_it_is_1() -> None:
    registry = CollectorRegistry()
    row = info(
        "thing_info", "h", llm_configured, labels=("model", "role"), nested_in={"role": "model"}, value="configured"
    )

    def shown() -> list[str]:
        return [sample.labels["model"] for family in registry.collect() for sample in family.samples]

    with subscribe((row,), registry, namespace="acme"):
        for configured, expected in ((True, ["m"]), (False, []), (False, []), (True, ["m"])):
            llm_configured.emit(model="m", configured=1 if configured else None)
            assert shown() == expected


def test_a_label_that_an_event_may_lack_is_optional_unless_it_has_a_default() -> None:
    row = counter("things_total", "h", noted, labels=("name", "note", "cached"))
    assert row.optional_labels == ("note",)
    assert counter("things_total", "h", noted, labels=("note",), default={"note": "none"}).optional_labels == ()


def test_the_labels_of_a_metric_are_renamed_and_those_of_one_value_come_last() -> None:
    row = counter("a_total", "h", noted, labels=("name", "note"), rename={"name": "who"}, const_labels={"kind": "b"})
    assert row.label_names == ("who", "note", "kind")
    assert dict(row.label_sets()) == {"name": None, "note": None}


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
