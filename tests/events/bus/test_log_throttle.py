"""A log line about one subject is due at once, and then once a minute at most."""

from __future__ import annotations

import pytest

from events.bus.log_throttle import LogThrottle


class Clock:
    """A monotonic clock that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("events.bus.log_throttle.monotonic", clock)
    return clock


@pytest.mark.parametrize("uptime", [0.0, 0.5, 1e9])
def test_the_first_line_is_due_however_long_the_machine_runs(clock: Clock, uptime: float) -> None:
    """A monotonic clock may begin at zero when the machine starts."""
    clock.now = uptime
    assert LogThrottle().is_due("subject")


def test_the_next_line_is_due_after_the_interval(clock: Clock) -> None:
    throttle = LogThrottle()
    due: list[float] = []
    for second in range(200):
        clock.now = second
        if throttle.is_due("subject"):
            due.append(second)
    assert due == [0, 60, 120, 180]


def test_the_interval_is_counted_from_the_last_line_that_was_due(clock: Clock) -> None:
    """Not from the last question, else a subject that comes up each second would never be logged again."""
    throttle = LogThrottle(10)
    assert throttle.is_due("subject")
    clock.now = 9.9
    assert not throttle.is_due("subject")
    clock.now = 10.0
    assert throttle.is_due("subject")
    clock.now = 19.9
    assert not throttle.is_due("subject")


def test_each_subject_has_an_interval_of_its_own(clock: Clock) -> None:
    throttle = LogThrottle()
    assert throttle.is_due(("signal", "one"))
    clock.now = 30.0
    assert throttle.is_due(("signal", "another"))
    clock.now = 60.0
    assert throttle.is_due(("signal", "one"))
    assert not throttle.is_due(("signal", "another"))


def test_each_throttle_remembers_for_itself(clock: Clock) -> None:
    assert LogThrottle().is_due("subject")
    assert LogThrottle().is_due("subject")
