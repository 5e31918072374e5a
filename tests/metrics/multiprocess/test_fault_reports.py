"""Whatever fails while totals are computed is logged and emitted, and takes no other family with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge

from events import CollectorFailed, collector_failed
from events.bus.log_throttle import LogThrottle
from metrics import Workers, render
from metrics.multiprocess import aggregate
from metrics.multiprocess.fault_reports import report_file_fault
from metrics.multiprocess.file_layout import SUFFIX

SECRET = "a value that nobody may see"


@pytest.fixture(autouse=True)
def fresh_log_throttle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what was logged a moment ago, for another test."""
    monkeypatch.setattr("metrics.multiprocess.fault_reports._throttle", LogThrottle())


@pytest.fixture
def workers(folder: Path) -> Iterator[Workers]:
    """Return this process's workers, attached to a registry."""
    created = Workers(folder)
    yield created
    created.close()


def test_an_instrument_of_a_mode_that_there_is_not_is_refused_before_it_is_written(workers: Workers) -> None:
    """No reader could go on behind it: how many numbers a series of it takes is not known."""
    registry = CollectorRegistry()
    workers.attach(registry)
    with pytest.raises(ValueError, match=r"the mode is one of total, livesum, .*got 'newest'"):
        workers.create_instruments(Gauge, "depth", "d", [], "newest")  # type: ignore[arg-type]
    counted, shown = workers.create_instruments(Counter, "calls", "c", ["model"], "total")
    registry.register(shown)
    counted.labels("m").inc(3)
    assert b'calls_total{model="m"} 3.0\n' in render(registry)


def test_a_broken_file_of_another_worker_is_logged_and_leaves_this_ones_series(
    folder: Path, workers: Workers, faults: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    registry = CollectorRegistry()
    workers.attach(registry)
    counted, shown = workers.create_instruments(Counter, "calls", "c", ["model"], "total")
    registry.register(shown)
    counted.labels("m").inc(3)
    (folder / f"other{SUFFIX}").write_bytes(b"no worker's file")
    assert b'calls_total{model="m"} 3.0\n' in render(registry)
    assert faults == ["torn"]
    assert [message.partition(":")[0] for message in caplog.messages] == [
        f"{folder / 'other.worker'}, a worker's file, is broken, or of another version",
    ]


@pytest.mark.lenient
def test_a_family_whose_totals_fail_is_reported_and_takes_no_other_with_it(
    workers: Workers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    registry = CollectorRegistry()
    workers.attach(registry)
    instruments = [
        workers.create_instruments(Counter, name, "c", ["model"], "total") for name in ("broken", "calls", "tokens")
    ]
    for counted, shown in instruments:
        registry.register(shown)
        counted.labels("m").inc(3)
    find_child = aggregate._child

    def fail(instrument: Any, line: bytes) -> Any:
        if instrument is instruments[0][1]:
            raise LookupError(SECRET)
        return find_child(instrument, line)

    monkeypatch.setattr(aggregate, "_child", fail)
    with collector_failed.captured() as failures:
        text = render(registry)
    assert b'calls_total{model="m"} 3.0\n' in text
    assert b'tokens_total{model="m"} 3.0\n' in text
    assert failures == [CollectorFailed(collector="broken", error="LookupError")]
    [message] = caplog.messages
    assert message.startswith("broken: totals of the workers cannot be computed, LookupError at ")
    assert SECRET not in caplog.text


@pytest.mark.parametrize("shown_first", [True, False], ids=["goes", "comes back"])
def test_a_gauge_that_cannot_go_or_come_back_takes_no_other_family_with_it(
    folder: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch, shown_first: bool
) -> None:
    registry = CollectorRegistry()
    workers.attach(registry)
    depth, shown = workers.create_instruments(Gauge, "depth", "d", ["queue"], "livemax")
    counted, total = workers.create_instruments(Counter, "calls", "c", ["model"], "total")
    registry.register(shown)
    registry.register(total)
    depth.labels("a").set(7)
    counted.labels("m").inc()
    render(registry)
    if not shown_first:
        depth.remove("a")
        render(registry)

    def fail(*_: object) -> None:
        raise LookupError(SECRET)

    monkeypatch.setattr(shown, "remove" if shown_first else "labels", fail)
    (depth.remove if shown_first else depth.labels)("a")
    counted.labels("m").inc()
    with collector_failed.captured() as failures:
        assert b'calls_total{model="m"} 2.0\n' in render(registry)
    assert failures == [CollectorFailed(collector="depth", error="LookupError")]


def test_where_no_totals_can_be_computed_the_last_ones_are_shown_and_that_is_reported(
    workers: Workers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    registry = CollectorRegistry()
    workers.attach(registry)
    counted, shown = workers.create_instruments(Counter, "calls", "c", [], "total")
    registry.register(shown)
    counted.inc()
    render(registry)

    def fail(*_: object) -> None:
        raise PermissionError(SECRET)

    monkeypatch.setattr(aggregate, "worker_files", fail)
    with collector_failed.captured() as failures:
        assert b"calls_total 1.0\n" in render(registry)
    assert failures == [CollectorFailed(collector="Workers", error="PermissionError")]
    assert caplog.messages[0].startswith("Workers: totals of the workers cannot be computed, PermissionError at ")


def test_a_fault_is_logged_once_a_minute_and_emitted_each_time(
    faults: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        report_file_fault("torn", "a.worker")
    assert (faults, len(caplog.messages)) == (["torn"] * 3, 1)
