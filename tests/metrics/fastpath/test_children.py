"""The value objects inside prometheus_client's metrics can be replaced."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from metrics import render
from metrics.fastpath import children
from metrics.multiprocess import Workers


def test_the_installed_version_passes_the_self_test() -> None:
    assert children.values_are_replaceable()
    assert children.children_are_readable()


def test_series_are_counted_as_they_are_shown() -> None:
    counter, of_label = Counter("moved", "m", registry=None), Counter("sent", "s", ["label"], registry=None)
    histogram = Histogram("seconds", "s", buckets=(1.0, 2.0), registry=None)
    assert [children.series_count(each) for each in (counter, of_label, histogram)] == [1, 0, 5]
    for value in "abc":
        of_label.labels(value)
    assert children.series_count(of_label) == 3


@pytest.mark.parametrize("kind", [Counter, Gauge, Histogram])
@pytest.mark.parametrize("labels", [(), ("a", "b")])
def test_updates_reach_the_value_that_is_exported(
    kind: type[Counter | Gauge | Histogram], labels: tuple[str, ...], tmp_path: Path
) -> None:
    """With labels and without."""
    workers, registry = Workers(tmp_path), CollectorRegistry()
    own, exported = workers.create_instruments(kind, "moved", "m", labels, "total" if kind is not Gauge else "livesum")
    workers.attach(registry)
    registry.register(exported)
    child = own.labels(*labels) if labels else own
    (getattr(child, "observe", None) or child.inc)(2.0)
    render(registry)
    samples = {sample.name: sample.value for family in exported.collect() for sample in family.samples}
    assert samples[{Counter: "moved_total", Gauge: "moved", Histogram: "moved_sum"}[kind]] == (2.0)
    assert samples.get("moved_count", 1.0) == 1.0
    workers.close()


@pytest.mark.parametrize("works", [True, False])
def test_what_is_set_of_a_gauge_is_what_it_shows(works: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "values_are_replaceable", lambda: works)
    gauge = Gauge("moved", "m", ["a"], registry=None).labels("b")
    settable = children.settable(gauge)
    assert (settable is gauge) is not works
    settable.set(2.0)
    assert [sample.value for sample in gauge._child_samples()] == [2.0]


def test_a_version_that_works_otherwise_fails_the_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its updates do not reach the value objects that were put into it, so each process shows its own."""

    def inc(self: Counter, amount: float = 1) -> None:
        """Store the amount elsewhere."""

    monkeypatch.setattr(Counter, "inc", inc)
    children.values_are_replaceable.cache_clear()
    assert not children.values_are_replaceable()
    monkeypatch.undo()
    children.values_are_replaceable.cache_clear()
    assert children.values_are_replaceable()


def test_a_version_whose_values_are_elsewhere_is_read_by_its_public_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = Counter("moved", "m", registry=None)
    assert children.is_readable(counter)
    collect = Counter.collect
    monkeypatch.setattr(Counter, "collect", lambda self: [*collect(self), *collect(self)])
    children.children_are_readable.cache_clear()
    assert not children.is_readable(counter)
    monkeypatch.undo()
    children.children_are_readable.cache_clear()
    assert children.is_readable(counter)
