"""A queue takes what there is room for, and what becomes of each event is counted, whatever the listener does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from threading import Event
from time import sleep, time

import pytest

from app.listeners.record_queue import Batch, RecordQueue
from events import ListenerDelivered, ToolCalled, listener_delivered
from tests.support.wait import wait_until


@pytest.fixture
def counts() -> Iterator[Counter[str]]:
    """Count what becomes of the events."""
    found: Counter[str] = Counter()

    def count(event: ListenerDelivered) -> None:
        found[event.outcome] += event.count

    with listener_delivered.connected_to(count):
        yield found


def called(name: str = "search") -> ToolCalled:
    return ToolCalled(tool_name=name, status="success", duration=1)


def test_a_record_has_the_time_of_the_emission_and_what_was_known_there(counts: Counter[str]) -> None:
    gate, taken = Event(), Batch()

    def take(batch: Batch) -> None:
        gate.wait()
        taken.extend(batch)

    queue = RecordQueue("x", take)
    queue.put(called("first"))
    before = time()
    queue.put(called("second"), {"run_id": "r1"})
    after = time()
    sleep(0.05)
    gate.set()
    assert queue.close(within=30)
    assert [one.record["fields"]["tool_name"] for one in taken] == ["first", "second"]
    assert before <= taken[1].record["time"] <= after
    assert (dict(taken[0].context), dict(taken[1].context)) == ({}, {"run_id": "r1"})


def test_a_listener_that_fails_gets_the_next_events_all_the_same(
    counts: Counter[str], caplog: pytest.LogCaptureFixture
) -> None:
    seen = 0

    def take(batch: Batch) -> None:
        nonlocal seen
        seen += len(batch)
        raise ValueError("what somebody wrote")

    queue = RecordQueue("x", take)
    for _ in range(3):
        queue.put(called())
    assert queue.close(within=30)
    assert seen == 3
    assert counts == {"failed": 3}
    assert "listener x failed with ValueError at " in caplog.text
    assert "what somebody wrote" not in caplog.text
    assert len(caplog.records) == 1


def test_an_event_that_is_none_is_left_out(counts: Counter[str]) -> None:
    taken = Batch()
    queue = RecordQueue("x", taken.extend, batch=10, gather=0.05)
    queue.put(object())
    queue.put(called())
    assert queue.close(within=30)
    assert len(taken) == 1
    assert counts == {"failed": 1}


def test_events_come_together(counts: Counter[str]) -> None:
    sizes: list[int] = []
    queue = RecordQueue("x", lambda batch: sizes.append(len(batch)), batch=4, gather=10)
    for _ in range(10):
        queue.put(called())
    wait_until(lambda: sum(sizes) == 8)  # the last two would wait for ten seconds
    assert queue.close(within=30)
    assert sizes == [4, 4, 2]


def test_a_listener_that_never_ends_costs_what_it_has_and_what_waits(
    counts: Counter[str], caplog: pytest.LogCaptureFixture
) -> None:
    gate, began = Event(), Event()

    def take(batch: Batch) -> None:
        began.set()
        gate.wait()

    queue = RecordQueue("x", take, size=5)
    queue.put(called())
    assert began.wait(30)
    for _ in range(8):
        queue.put(called())
    assert counts == {"dropped": 3}
    assert not queue.close(within=0.05)
    assert counts == {"dropped": 9}
    queue.put(called())
    assert counts == {"dropped": 10}
    gate.set()
    assert [record.getMessage() for record in caplog.records] == ["listener x is full: 1 events dropped"]
