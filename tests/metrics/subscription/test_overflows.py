"""Samples past a label's limit are reported at once the first time, and later together."""

from __future__ import annotations

from threading import Thread

from events import label_overflowed
from metrics.subscription.overflows import Overflows
from tests.support.forks import in_child


def test_the_first_is_emitted_at_once_and_those_after_it_together_for_each_pair() -> None:
    overflows = Overflows(iter([("calls_total", "model"), ("calls_total", "agent_name")]))
    with label_overflowed.captured() as emitted:
        for _ in range(4):
            overflows.add()
        for _ in range(2):
            overflows.emit()
        assert [(event.metric, event.label, event.count) for event in emitted] == [
            ("calls_total", "model", 1),
            ("calls_total", "agent_name", 1),
            ("calls_total", "model", 3),
            ("calls_total", "agent_name", 3),
        ]


def test_while_one_thread_emits_another_waits_for_nothing() -> None:
    """A lock that it waited for might be held around this very call, by code that the garbage collector interrupted."""
    overflows = Overflows([("calls_total", "model")])
    overflows.add()
    overflows.add()
    with label_overflowed.captured() as emitted:
        with overflows._emitting:
            other = Thread(target=overflows.emit, daemon=True)
            other.start()
            other.join(5)
            assert not other.is_alive()
        assert emitted == []
        overflows.emit()
    assert [event.count for event in emitted] == [1]


def test_a_forked_process_emits_its_own_alone() -> None:
    overflows = Overflows([("calls_total", "model")])
    for _ in range(100):
        overflows.add()

    def child() -> object:
        with label_overflowed.captured() as emitted:
            overflows.emit()
            overflows.add()
            overflows.add()
            overflows.emit()
        return [event.count for event in emitted]

    assert in_child(child) == "[1, 1]"
    with label_overflowed.captured() as emitted:
        overflows.emit()
    assert [event.count for event in emitted] == [99]
