"""Gauges of things that are past a label's limit are combined under ``other``, and those of things that are gone go."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from math import fsum
from pathlib import Path

import pytest
from blinker import Namespace
from prometheus_client import CollectorRegistry

from events import value_dropped
from events.bus.fields import Label
from events.bus.signal import Signal
from metrics import Workers, gauge, subscribe
from metrics.rows import OTHER
from metrics.subscription import combined_gauge
from metrics.validation import MultiprocessMode
from tests.support.forks import in_child


@dataclass(frozen=True, slots=True, kw_only=True)
class TankRead:
    """The level of a tank was read."""

    tank: Label
    level: float | None


tank_read = Signal(TankRead, namespace=Namespace())


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def levels(registry: CollectorRegistry) -> dict[str, float]:
    """Return the level of each series."""
    return {sample.labels["tank"]: sample.value for family in registry.collect() for sample in family.samples}


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (None, 9.0),
        ("livesum", 9.0),
        ("livemax", 5.0),
        ("livemin", 4.0),
        ("max", 5.0),
        ("min", 4.0),
        ("livemostrecent", None),
    ],
)
def test_values_past_the_limit_are_combined_as_the_row_says(
    registry: CollectorRegistry, mode: MultiprocessMode | None, expected: float | None
) -> None:
    row = gauge("tank_level", "Levels.", tank_read, value="level", labels=("tank",), multiprocess_mode=mode)
    with subscribe([row], registry, namespace="acme", label_limits={"tank": 1}):
        for tank, level in (("a", 1.0), ("b", 7.0), ("c", 4.0), ("b", 5.0)):
            tank_read.emit(tank=tank, level=level)
        assert levels(registry) == {"a": 1.0} | ({} if expected is None else {OTHER: expected})


@pytest.mark.parametrize(("mode", "expected"), [(None, 9.0), ("livesum", 9.0), ("livemax", 5.0), ("min", 4.0)])
def test_values_of_several_workers_are_combined_as_the_row_says(
    mode: MultiprocessMode | None, expected: float, tmp_path: Path
) -> None:
    registries = [CollectorRegistry(), CollectorRegistry()]
    workers = [Workers(tmp_path), Workers(tmp_path)]
    with ExitStack() as open_subscriptions:
        for registry, worker, level in zip(registries, workers, (4.0, 5.0), strict=True):
            read = Signal(TankRead, namespace=Namespace())
            row = gauge("tank_level", "Levels.", read, value="level", labels=("tank",), multiprocess_mode=mode)
            limits = {"tank": 1}
            open_subscriptions.enter_context(
                subscribe([row], registry, namespace="acme", label_limits=limits, workers=worker)
            )
            read.emit(tank="a", level=level)
        workers[0].collect()
        assert levels(registries[0]) == {"a": expected}
    for worker in workers:
        worker.close()


def test_what_is_gone_goes(registry: CollectorRegistry) -> None:
    row = gauge("tank_level", "Levels.", tank_read, value="level", labels=("tank",))
    with subscribe([row], registry, namespace="acme", label_limits={"tank": 1}):
        for tank, level in (("a", 1.0), ("b", 2.0), ("c", 4.0)):
            tank_read.emit(tank=tank, level=level)
        tank_read.emit(tank="a", level=None)
        assert levels(registry) == {OTHER: 6.0}
        tank_read.emit(tank="b", level=None)
        assert levels(registry) == {OTHER: 4.0}
        tank_read.emit(tank="never seen", level=None)
        assert levels(registry) == {OTHER: 4.0}
        tank_read.emit(tank="c", level=None)
        assert levels(registry) == {}


@pytest.mark.lenient
def test_a_value_that_is_none_leaves_the_sum_as_it_was(registry: CollectorRegistry) -> None:
    row = gauge("tank_level", "Levels.", tank_read, value="level", labels=("tank",))
    with subscribe([row], registry, namespace="acme", label_limits={"tank": 0}):
        tank_read.emit(tank="a", level=1.0)
        tank_read.emit(tank="a", level=float("nan"))
        assert levels(registry) == {OTHER: 1.0}


def test_past_the_bound_the_first_stay_exact_and_the_rest_is_counted(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(combined_gauge, "MAX_SOURCES", 3)
    row = gauge("tank_level", "Levels.", tank_read, value="level", labels=("tank",))
    with (
        subscribe([row], registry, namespace="acme", label_limits={"tank": 0}),
        value_dropped.captured() as dropped,
    ):
        for _ in range(2):
            for number in range(5):
                tank_read.emit(tank=f"tank {number}", level=1.0)
        assert levels(registry) == {OTHER: 3.0}
        assert [(each.metric, each.reason) for each in dropped] == [("acme_tank_level", "too_many")] * 4
        tank_read.emit(tank="tank 0", level=None)  # it makes room for another one
        tank_read.emit(tank="tank 4", level=8.0)
        assert levels(registry) == {OTHER: 10.0}


def test_thousands_of_things_past_the_limit_are_added_up_exactly(registry: CollectorRegistry) -> None:
    row = gauge("tank_level", "Levels.", tank_read, value="level", labels=("tank",))
    with subscribe([row], registry, namespace="acme", label_limits={"tank": 1}):
        for number in range(3001):
            tank_read.emit(tank=f"tank {number}", level=0.1)
        assert levels(registry) == {"tank 0": 0.1, OTHER: fsum([0.1] * 3000)}


def test_a_value_that_expired_does_not_count_again_when_another_returns(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(combined_gauge, "monotonic", lambda: now)
    row = gauge(
        "tank_level", "Levels.", tank_read, value="level", labels=("tank",), expires_after=60.0, multiprocess_mode="max"
    )
    with subscribe([row], registry, namespace="acme", label_limits={"tank": 0}):
        tank_read.emit(tank="a", level=9.0)
        now += 40
        tank_read.emit(tank="b", level=4.0)
        assert levels(registry) == {OTHER: 9.0}
        now += 30
        assert levels(registry) == {OTHER: 4.0}  # a is gone, b is not
        now += 40
        assert levels(registry) == {}
        tank_read.emit(tank="a", level=1.0)
        assert levels(registry) == {OTHER: 1.0}


def test_what_calls_itself_other_is_one_of_those_that_are_combined(registry: CollectorRegistry) -> None:
    row = gauge("tank_level", "Levels.", tank_read, value="level", labels=("tank",))
    with subscribe([row], registry, namespace="acme", label_limits={"tank": 1}):
        for tank, level in (("a", 1.0), ("b", 2.0), (OTHER, 4.0), ("b", 8.0)):
            tank_read.emit(tank=tank, level=level)
        assert levels(registry) == {"a": 1.0, OTHER: 12.0}


def test_the_values_of_a_process_are_not_those_of_one_that_is_forked_from_it(registry: CollectorRegistry) -> None:
    row = gauge("tank_level", "Levels.", tank_read, value="level", labels=("tank",))
    with subscribe([row], registry, namespace="acme", label_limits={"tank": 0}):
        tank_read.emit(tank="a", level=1.0)

        def child() -> object:
            tank_read.emit(tank="b", level=2.0)
            return levels(registry)

        assert in_child(child) == str({OTHER: 2.0})
        assert levels(registry) == {OTHER: 1.0}


def test_a_gauge_that_nobody_set_has_no_sample(registry: CollectorRegistry) -> None:
    labelled = gauge("tank_level", "Levels.", tank_read, value="level", labels=("tank",))
    bare = gauge("last_level", "The level.", tank_read, value="level")
    with subscribe(
        [labelled, bare], registry, namespace="acme", label_limits={"tank": 1}, label_values={"tank": ["a"]}
    ):
        assert [sample for family in registry.collect() for sample in family.samples] == []
        tank_read.emit(tank="a", level=0.0)
        assert {(sample.name, sample.value) for family in registry.collect() for sample in family.samples} == {
            ("acme_tank_level", 0.0),
            ("acme_last_level", 0.0),
        }
