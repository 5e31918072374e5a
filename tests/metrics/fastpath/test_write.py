"""prometheus_client's own collectors are written fast, exemplars with their time included."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.openmetrics.exposition import generate_latest

from metrics import render
from metrics.fastpath.write import fast_write_works, registered_collectors, render_blocks
from metrics.text_format.formats import OPENMETRICS

NOW = 1_700_000_000.25


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> CollectorRegistry:
    """A registry in which every child was created, and every exemplar observed, at one time."""
    monkeypatch.setattr("time.time", lambda: NOW)
    registry = CollectorRegistry()
    calls = Counter("calls", "h", ["who"], registry=registry)
    calls.labels("a").inc(2, {"trace_id": "abc"})
    calls.labels("b").inc()
    took = Histogram("took", "h", registry=registry, buckets=(1, 5))
    took.observe(0.5, {"trace_id": "quick"})
    took.observe(9.0, {"trace_id": "slow"})
    waited = Histogram("waited", "h", ["who"], registry=registry, buckets=(1, 5))
    change = Histogram("change", "h", ["who"], registry=registry, buckets=(-1, 5))
    for histogram in (waited, change):
        for who in ("a", "b", "c"):
            histogram.labels(who).observe(3.0, {"trace_id": f"of {who}"})
    return registry


def test_an_exemplar_is_written_with_its_value_and_time(registry: CollectorRegistry) -> None:
    assert fast_write_works()
    lines = render(registry, OPENMETRICS).decode().splitlines()
    assert [line for line in lines if "#" in line[1:]] == [
        f'calls_total{{who="a"}} 2.0 # {{trace_id="abc"}} 2.0 {NOW}',
        f'took_bucket{{le="1.0"}} 1.0 # {{trace_id="quick"}} 0.5 {NOW}',
        f'took_bucket{{le="+Inf"}} 2.0 # {{trace_id="slow"}} 9.0 {NOW}',
        *(
            f'{name}_bucket{{le="5.0",who="{who}"}} 1.0 # {{trace_id="of {who}"}} 3.0 {NOW}'
            for name in ("waited", "change")
            for who in "abc"
        ),
    ]


def test_exemplars_are_written_as_prometheus_client_writes_them(registry: CollectorRegistry) -> None:
    assert render(registry, OPENMETRICS) == generate_latest(registry)  # type: ignore[no-untyped-call]


def test_no_collector_with_exemplars_falls_back_to_the_slow_way(registry: CollectorRegistry) -> None:
    written = [render_blocks(collector, OPENMETRICS) for collector, _ in registered_collectors(registry) or ()]
    text = b"".join(block for blocks in written for block, _ in blocks or ())
    assert text + b"# EOF\n" == generate_latest(registry)  # type: ignore[no-untyped-call]
