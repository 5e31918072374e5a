"""The pauses of a stream's reader, on a clock of the test's."""

from __future__ import annotations

import pytest

from events.bridges.model_calls import reader_pauses
from events.bridges.model_calls.reader_pauses import AT_ONCE, ReaderPauses


class Clocks:
    """The time that passes, and how much of it this thread computes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.computed = 100.0, 5.0
        monkeypatch.setattr(reader_pauses, "perf_counter", lambda: self.now)
        monkeypatch.setattr(reader_pauses, "thread_time", lambda: self.computed)

    def wait(self, seconds: float, *, computing: float = 0.0) -> None:
        self.now += seconds
        self.computed += computing


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


def paused(clocks: Clocks, pause: float, waited: float, *, computing: float = 0.0) -> tuple[ReaderPauses, float]:
    """Return the pauses of a reader that paused once, then waited for an event, and when that arrived."""
    pauses = ReaderPauses()
    clocks.wait(pause)
    pauses.end()
    clocks.wait(waited, computing=computing)
    return pauses, pauses.arrive()


@pytest.mark.parametrize(
    ("pause", "waited", "computing", "seconds", "sees_arrival"),
    [
        (1.0, 0.5, 0.0, 0.0, True),  # it waited for the model, which worked in the pause too
        (1.0, 0.03125, 0.0, 0.0, True),  # as long as three hundredths of it
        (1.0, 0.0078125, 0.0, 1.0, False),  # it waited for the processor
        (1.0, 0.0, 0.0, 1.0, False),  # the event was there
        (0.0, 0.0, 0.0, 0.0, True),  # it hardly paused
        (AT_ONCE / 2, 0.0, 0.0, AT_ONCE / 2, True),
        (1.0, 0.5, 0.5, 1.0, False),  # it computed
    ],
)
def test_a_pause_is_the_readers_unless_it_waits_for_the_model_then(
    *, pause: float, waited: float, computing: float, seconds: float, sees_arrival: bool, clocks: Clocks
) -> None:
    pauses, arrived_at = paused(clocks, pause, waited, computing=computing)
    assert pauses.seconds == pytest.approx(seconds)
    assert pauses.sees_arrival is sees_arrival
    assert arrived_at == pytest.approx(clocks.now - seconds)


def test_a_tenth_of_its_pauses_in_all_is_a_wait_too(clocks: Clocks) -> None:
    """Each of these waits is less than three hundredths of them."""
    pauses, _ = paused(clocks, 1.0, 0.0)
    for number in range(1, 5):
        pauses.begin()
        pauses.end()
        clocks.wait(0.025)
        pauses.arrive()
        assert pauses.seconds == pytest.approx(0.0 if number == 4 else 1.0)
        assert pauses.sees_arrival is (number == 4)


def test_a_stream_that_ends_in_a_pause_ends_it_once(clocks: Clocks) -> None:
    pauses, _ = paused(clocks, 1.0, 0.0)
    pauses.begin()
    clocks.wait(2.0)
    assert pauses.stop() == pytest.approx(3.0)
    clocks.wait(5.0)
    pauses.begin()
    assert pauses.stop() == pytest.approx(3.0)


def test_a_stream_that_ends_while_it_is_waited_for_has_no_pause(clocks: Clocks) -> None:
    pauses = ReaderPauses()
    clocks.wait(1.0)
    pauses.end()
    clocks.wait(1.0)
    assert pauses.stop() == 0.0
