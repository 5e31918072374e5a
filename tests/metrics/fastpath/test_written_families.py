"""A family that is as it was is not written anew, and one that is not always is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from metrics import render
from metrics.fastpath import written_families
from metrics.fastpath.children import set_created
from metrics.text_format.formats import OPENMETRICS, TEXT, Format


@pytest.fixture
def counter(registry: CollectorRegistry) -> Counter:
    return Counter("calls", "Calls.", ["kind"], registry=registry)


def is_unchanged(collector: object, text_format: Format = TEXT) -> bool:
    return written_families.unchanged(collector, text_format) is not None


def test_a_family_is_unchanged_until_something_in_it_is_another(registry: CollectorRegistry, counter: Counter) -> None:
    """It has no child, then one, then a greater number, then another child; and between two of these nothing new."""
    assert not is_unchanged(counter)
    changes: list[Callable[[], object]] = [
        lambda: None,
        lambda: counter.labels("a"),
        lambda: counter.labels("a").inc(),
        lambda: counter.labels("b").inc(),
        lambda: counter.remove("a"),
        lambda: counter.labels("a"),  # as many as before, and others
    ]
    for change in changes:
        change()
        assert render(registry) == generate_latest(registry)
        assert is_unchanged(counter)
        assert render(registry) == generate_latest(registry)
    counter.remove("b")
    counter.labels("c")
    assert not is_unchanged(counter)


def test_each_format_is_as_it_was_by_itself(registry: CollectorRegistry, counter: Counter) -> None:
    counter.labels("a").inc()
    text, openmetrics = render(registry), render(registry, OPENMETRICS)
    assert is_unchanged(counter)
    assert is_unchanged(counter, OPENMETRICS)
    assert not is_unchanged(counter, Format("application/openmetrics-text", "1.0.0", "dots"))
    assert (render(registry), render(registry, OPENMETRICS)) == (text, openmetrics)
    counter.labels("a").inc(1, {"trace_id": "t"})
    assert b"trace_id" in render(registry, OPENMETRICS)
    counter.labels("a").inc(0, {"trace_id": "u"})
    assert b'trace_id="u"' in render(registry, OPENMETRICS)


def test_a_time_of_creation_that_is_another_is_written(registry: CollectorRegistry, counter: Counter) -> None:
    set_created(counter.labels("a"), 100.0)
    assert b'calls_created{kind="a"} 100.0\n' in render(registry, OPENMETRICS)
    set_created(counter.labels("a"), 50.0)
    assert b'calls_created{kind="a"} 50.0\n' in render(registry, OPENMETRICS)
    assert render(registry) == generate_latest(registry)


def test_a_gauge_that_a_function_sets_is_asked_each_time(registry: CollectorRegistry) -> None:
    gauge = Gauge("depth", "Depth.", registry=registry)
    assert b"depth 0.0\n" in render(registry)
    depths = iter((1, 2, 3))
    gauge.set_function(lambda: next(depths))
    assert b"depth 1.0\n" in render(registry)
    assert b"depth 2.0\n" in render(registry)


def test_times_of_creation_that_are_switched_off_are_gone(
    registry: CollectorRegistry, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter.labels("a").inc()
    assert b"_created" in render(registry)
    monkeypatch.setattr("prometheus_client.metrics._use_created", False)
    assert b"_created" not in render(registry)


def test_a_family_of_many_children_is_written_by_its_parts(registry: CollectorRegistry) -> None:
    """Of those the texts that have not changed are the same objects."""
    histogram = Histogram("took", "Time.", ["kind"], registry=registry)
    for number in range(100):
        histogram.labels(str(number)).observe(number)
    assert render(registry) == generate_latest(registry)
    assert not is_unchanged(histogram)
    assert render(registry) == generate_latest(registry)
