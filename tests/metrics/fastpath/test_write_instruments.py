"""prometheus_client's own instruments are rendered fast, from its private parts, and right whatever these are.

Runs on the installed prometheus_client; `test_versions` runs it on the oldest and the newest.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import ref

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, Summary, generate_latest

from metrics.exposition.render import render
from metrics.fastpath import write
from metrics.fastpath.children import replace_values, values_of
from metrics.text_format.formats import OPENMETRICS, TEXT


@pytest.fixture(autouse=True)
def tried_out() -> None:
    """Let it look at the prometheus_client at hand before a test changes it."""
    write.fast_write_works()


def test_the_installed_version_passes_the_self_test() -> None:
    assert write.fast_write_works()


@pytest.mark.parametrize("kind", [Counter, Gauge, Summary, Histogram])
def test_a_subclass_is_rendered_by_its_own_collect(registry: CollectorRegistry, kind: type[Any]) -> None:
    class Doubled(kind):  # type: ignore[misc]
        def collect(self) -> Iterable[Metric]:
            return [Metric("other", "Another.", "gauge")]

    Doubled("mine", "h", registry=registry)
    assert render(registry) == generate_latest(registry)


def test_a_gauge_with_a_function_shows_what_the_function_returns(registry: CollectorRegistry) -> None:
    numbers = iter(range(100))
    Gauge("bare", "h", registry=registry).set_function(lambda: next(numbers))
    Gauge("one", "h", ["k"], registry=registry).labels("a").set_function(lambda: 7)
    assert b"bare 0.0\n" in render(registry)
    assert b'one{k="a"} 7.0\n' in render(registry)


def test_values_of_other_number_types_are_rendered_as_numbers(registry: CollectorRegistry) -> None:
    class Halves(float):
        def __repr__(self) -> str:
            return "Halves"

    gauge = Gauge("g", "h", registry=registry)
    gauge.inc(Halves(0.5))
    counter = Counter("c", "h", registry=registry)
    counter._value.set(3)  # as Counter.reset does
    assert render(registry) == generate_latest(registry)


@pytest.mark.parametrize("change", ["_value", "_name", "_labelnames"])
def test_changed_private_parts_cost_only_the_speed(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """With a prometheus_client whose private parts are unknown, its public way is taken."""
    counter = Counter("calls_total", "h", registry=registry)
    counter.inc()
    expected = generate_latest(registry)
    monkeypatch.setattr(Counter, "collect", Counter("calls_total", "h", registry=None).collect)
    monkeypatch.delattr(counter, change)
    assert b"calls_total 0.0\n" in render(registry)
    assert b"calls_total 1.0\n" in expected


def test_a_version_that_renders_differently_fails_the_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "generate_latest", lambda _: b"something new\n")
    write.fast_write_works.cache_clear()
    try:
        assert not write.fast_write_works()
        registry = CollectorRegistry()
        Histogram("took", "h", registry=registry).observe(1)
        assert render(registry) == generate_latest(registry)
    finally:
        write.fast_write_works.cache_clear()


@pytest.mark.slow
def test_removed_children_are_released(registry: CollectorRegistry) -> None:
    histogram = Histogram("took", "h", ["k"], registry=registry)
    for number in range(100):
        histogram.labels(str(number)).observe(number)
    bare = Gauge("bare", "h", registry=registry)
    removed: list[ref[Any]] = [ref(histogram.labels("7")), ref(bare)]
    render(registry)
    histogram.remove("7")
    registry.unregister(bare)
    histogram.labels("new").observe(1)
    assert render(registry) == generate_latest(registry)
    del bare
    gc.collect()
    assert [reference() for reference in removed] == [None, None]


def test_a_child_that_is_created_again_has_its_own_time_and_values(registry: CollectorRegistry) -> None:
    counter = Counter("calls_total", "h", ["k"], registry=registry)
    for _ in range(2):
        counter.labels("a").inc(3)
        assert render(registry) == generate_latest(registry)
        assert render(registry, OPENMETRICS).count(b"_created{") == 1
        counter.remove("a")


def test_histograms_of_many_observations(registry: CollectorRegistry) -> None:
    """Small counts are looked up, larger ones formatted; from a million on Go writes exponents."""
    histogram = Histogram("took", "h", buckets=(1, 2, 3), registry=registry)
    for count, value in ((1000, 0), (30, 1), (999_000, 2), (20, 4)):
        for bucket, bound in zip(histogram._buckets, histogram._upper_bounds, strict=True):
            if value <= bound:
                bucket.inc(count)  # as so many observations would
                break
        assert render(registry) == generate_latest(registry)
    assert b'took_bucket{le="+Inf"} 1.00005e+06\n' in render(registry)


def test_concurrent_renders_leave_no_stale_text_in_the_cache(registry: CollectorRegistry) -> None:
    """Several threads render while values change."""
    gauge = Gauge("open", "h", ["k"], registry=registry)
    children = [gauge.labels(str(number)) for number in range(300)]

    def work(seed: int) -> None:
        for number in range(20):
            for child in children[seed::3]:
                child.set(number + seed / 7)
            render(registry)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    assert render(registry) == generate_latest(registry)


class Doubled:
    """A value that is not what its private attribute says."""

    def __init__(self, value: float) -> None:
        self._value = value

    def get(self) -> float:
        return 2 * self._value

    def get_exemplar(self) -> None:
        """Return no exemplar."""


@pytest.mark.parametrize("kind", [Counter, Gauge, Histogram])
def test_values_of_another_class_are_read_by_their_public_method(registry: CollectorRegistry, kind: type[Any]) -> None:
    collector = kind("mine", "h", ["k"], registry=registry)
    for label in "ab":
        child = collector.labels(label)
        replace_values(child, [Doubled(number + 0.5) for number, _ in enumerate(values_of(child))])
    for text_format in (TEXT, OPENMETRICS):
        for family in registry.collect():
            for sample in family.samples:
                if not sample.name.endswith("_created"):
                    assert f" {sample.value}\n".encode() in render(registry, text_format)
    blocks = write.render_blocks(collector, TEXT)
    assert blocks is not None
    assert b"".join(text for text, _ in blocks) == generate_latest(registry)


@pytest.mark.parametrize("buckets", [(-1, 0, 1), (-2, -1), (0, 1), (1, 2)])
def test_a_histogram_of_negative_amounts_has_no_sum(registry: CollectorRegistry, buckets: tuple[float, ...]) -> None:
    histogram = Histogram("took", "h", ["k"], registry=registry, buckets=buckets)
    histogram.labels("a").observe(-0.5)
    blocks = write.render_blocks(histogram, TEXT)
    assert blocks is not None
    assert b"".join(text for text, _ in blocks) == render(registry) == generate_latest(registry)
    assert (b"took_sum" in render(registry)) is (buckets[0] >= 0)


def test_the_collectors_of_a_registry_are_known_and_those_of_another_class_are_not(registry: CollectorRegistry) -> None:
    class Another(CollectorRegistry):
        """May collect in its own way."""

    calls, depth = Counter("calls", "h", registry=registry), Gauge("depth", "h", registry=registry)
    assert write.registered_collectors(registry) == [
        (calls, ["calls", "calls_total", "calls_created"]),
        (depth, ["depth"]),
    ]
    assert write.registered_collectors(Another()) is None
    assert write.registered_collectors(object()) is None
