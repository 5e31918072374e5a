"""Snapshots: what a registry shows, read without rendering it, and without harm where a family fails."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector

from events import CollectorFailed, agent_run, collector_failed, llm_called, workflow_finished
from events.bus.pollers import add_poller, scrape_count
from metrics import CATALOGUE, Subscription, render, subscribe
from metrics.fastpath import children
from metrics.live import Latest, Quantile, Rate, SnapshotReader
from metrics.live.sources import Source
from tests.support.counter_worker import LocalWorker, WorkerProcess, count_call

TOKENS = Source("llm_tokens_total", by="token_type")
TIME = Source("llm_request_duration_seconds")
SLOTS = Source("workflow_slots")


class Failing:
    """A collector that says what it has and then does not have it."""

    def describe(self) -> Iterable[Metric]:
        return [Metric("acme_broken", "h", "gauge")]

    def collect(self) -> Iterable[Metric]:
        raise RuntimeError("a secret")


def test_a_family_that_fails_is_unknown_counted_and_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    registry, failed = CollectorRegistry(), list[CollectorFailed]()
    registry.register(Failing())
    Counter("acme_fine_total", "h", registry=registry).inc(3)
    broken, fine = Source("broken"), Source("fine_total")
    reader = SnapshotReader(registry, "acme", [broken, fine])
    with collector_failed.connected_to(failed.append):
        snapshots = [reader.read(), reader.read()]
    assert [dict(each.values) for each in snapshots] == [{broken: None, fine: {"value": (3.0,)}}] * 2
    assert [(each.collector, each.error) for each in failed] == [("acme_broken", "RuntimeError")] * 2
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text
    [last, now] = snapshots
    assert Rate("broken").values(last, now) == Latest("broken").values(last, now) == {"value": None}
    assert Rate("broken", by="label").values(last, now) == Latest("broken", by="label").values(last, now) == {}
    assert Quantile(0.5, "broken").values(last, now) == {"value": None}


def test_collectors_of_any_kind_are_read(registry: CollectorRegistry) -> None:
    """Those that describe nothing, a gauge that shows what a function returns, and prometheus_client's own."""
    ProcessCollector(registry=registry)
    Gauge("acme_room", "h", registry=registry).set_function(lambda: 7.0)
    Gauge("acme_rooms", "h", ["floor"], registry=registry).labels("1").set(2)
    histogram = Histogram("acme_seconds", "h", ["a"], buckets=(1.0, 2.0), registry=registry)
    for label, value in (("x", 0.5), ("y", 9.0)):
        histogram.labels(label).observe(value)
    sources = [Source(name) for name in ("room", "rooms", "seconds", "process_start_time_seconds", "nowhere")]
    snapshot = SnapshotReader(registry, "acme", sources).read()
    room, rooms, seconds, started, nowhere = (snapshot.values[each] for each in sources)
    assert (room, rooms, nowhere) == ({"value": (7.0,)}, {"value": (2.0,)}, {})
    assert seconds == {"value": (9.5, 1.0, 0.0, 1.0)}
    assert snapshot.bounds["seconds"] == (1.0, 2.0, float("inf"))
    assert started
    assert started["value"][0] > 1e9


def test_the_slow_way_reads_the_same(
    registry: CollectorRegistry, subscription: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole catalogue, by each of its labels."""
    for number in range(3):
        llm_called.emit(model=f"m{number}", status="success", duration=0.2, prompt_tokens=4, completion_tokens=2)
        workflow_finished.emit(run_id=str(number), workflow_type="campaign", status="failed", duration=3.0)
    sources = [Source(row.name, by=label, how="max") for row in CATALOGUE for label in ("", *row.label_names)]
    fast = SnapshotReader(registry, "sparklio", sources).read()
    monkeypatch.setattr(children, "children_are_readable", lambda: False)
    slow = SnapshotReader(registry, "sparklio", sources).read()
    times = Source("last_event_timestamp_seconds", by="signal", how="max")
    assert {**slow.values, times: None} == {**fast.values, times: None}
    assert {family: bounds for family, bounds in slow.bounds.items() if bounds}.items() <= fast.bounds.items()


def test_series_that_come_and_go_are_seen(registry: CollectorRegistry) -> None:
    gauge = Gauge("acme_depth", "h", ["queue"], registry=registry)
    source = Source("depth", by="queue")
    reader = SnapshotReader(registry, "acme", [source])
    assert reader.read().values[source] == {}
    gauge.labels("a").set(1)
    first = reader.read()
    gauge.labels("b").set(2)
    gauge.remove("a")
    assert (first.values[source], reader.read().values[source]) == ({"a": (1.0,)}, {"b": (2.0,)})


def test_what_did_not_change_is_kept_once(registry: CollectorRegistry, subscription: Subscription) -> None:
    reader = SnapshotReader(registry, "sparklio", [TOKENS, TIME])
    count_call()
    first, second = reader.read(), reader.read()
    assert first.values[TIME] is second.values[TIME]
    count_call()
    assert reader.read().values[TIME] != first.values[TIME]


def test_gauges_are_read_afresh_and_no_scrape_is_noted(registry: CollectorRegistry, subscription: Subscription) -> None:
    """What metrics show since the last scrape is Prometheus's to see."""
    calls: list[None] = []
    add_poller(lambda: calls.append(None))
    reader, before = SnapshotReader(registry, "sparklio", [SLOTS]), scrape_count()
    assert reader.read().values[SLOTS] == {}, "a gauge that nobody has set shows nothing"
    assert (len(calls), scrape_count()) == (1, before)
    render(registry)
    assert (len(calls), scrape_count()) == (2, before + 1)


@pytest.mark.slow
def test_workers_have_the_sums_of_all_dead_ones_too(tmp_path: Path) -> None:
    """Two that live, one of which is killed, and one that has ended."""
    folder = tmp_path / "workers"
    active = Source("active_agent_executions")
    with LocalWorker(folder) as here:
        reader = SnapshotReader(here.registry, "sparklio", [TOKENS, TIME, active])
        count_call()
        assert tokens(reader) == (2.0, 1.0)
        ended, living = (WorkerProcess(folder, scenario) for scenario in ("count_once", "run_agent"))
        assert (ended.read_line(), living.read_line()) == ("done", "working")
        ended.wait()
        with agent_run(agent_name="copywriter", task="t"):
            snapshot = reader.read()
            assert snapshot.values[TOKENS] == {"prompt": (6.0,), "completion": (3.0,)}
            assert (snapshot.values[TIME] or {})["value"][0] == 3 * 0.25
            assert snapshot.values[active] == {"value": (2.0,)}
            living.kill()
            assert reader.read().values[active] == {"value": (1.0,)}
        assert tokens(reader) == (6.0, 3.0)


def tokens(reader: SnapshotReader) -> tuple[Any, ...]:
    values = reader.read().values[TOKENS] or {}
    return tuple(values[each][0] for each in ("prompt", "completion"))


def test_an_application_of_another_namespace_is_read_by_it() -> None:
    registry = CollectorRegistry()
    with subscribe(CATALOGUE, registry, namespace="acme"):
        count_call()
        assert tokens(SnapshotReader(registry, "acme", [TOKENS])) == (2.0, 1.0)
