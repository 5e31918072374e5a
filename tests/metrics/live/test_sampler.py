"""A thread that reads at its pace, at a bounded cost."""

from __future__ import annotations

import threading

import pytest

from metrics.live import Sampler
from metrics.live.sampler import RESTING, RESTING_SHARE, WATCHED, WATCHED_SHARE
from tests.support.wait import wait_until


def test_it_reads_at_once_and_goes_on_whatever_is_raised(caplog: pytest.LogCaptureFixture) -> None:
    threads: set[str] = set()
    calls: list[None] = []

    def sample() -> None:
        threads.add(threading.current_thread().name)
        calls.append(None)
        raise RuntimeError("a secret")

    with Sampler(sample, resting=0.01):
        wait_until(lambda: len(calls) > 3)
    ended = len(calls)
    assert threads == {"live numbers"}
    assert [record.getMessage().partition(" at ")[0] for record in caplog.records] == [
        "live numbers cannot be read: RuntimeError"
    ]
    assert "secret" not in caplog.text
    assert len(calls) == ended, "it has ended"


def test_whoever_begins_to_watch_has_the_next_reading_at_once() -> None:
    calls: list[None] = []
    with Sampler(lambda: calls.append(None), resting=600.0, watched=0.01) as sampler:
        wait_until(lambda: calls)
        for _ in range(2):
            before = len(calls)
            with sampler.watch(), sampler.watch():
                wait_until(lambda: len(calls) > before + 2)  # noqa: B023  # it returns in the loop
    assert calls


def test_readings_that_cost_more_come_less_often() -> None:
    sampler = Sampler(lambda: None)
    assert sampler.pause_after(0.001) == RESTING
    assert sampler.pause_after(0.060) == 0.060 / RESTING_SHARE
    with sampler.watch():
        assert sampler.pause_after(0.001) == WATCHED
        assert sampler.pause_after(0.060) == 0.060 / WATCHED_SHARE
    assert sampler.pause_after(0.001) == RESTING
