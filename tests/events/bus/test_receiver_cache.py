"""The receivers are cached between emissions, and the cache is never out of date."""

import gc
from dataclasses import dataclass
from threading import Thread

import pytest
from blinker import Namespace

from events.bus.signal import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Something happened."""

    number: int


@pytest.fixture
def happened() -> Signal[..., Happened]:
    """A signal of the test's own."""
    return Signal(Happened, Namespace())


class Recorder:
    """Records the numbers of the events that it receives."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def __call__(self, event: Happened) -> None:
        self.numbers.append(event.number)


def test_a_receiver_is_called_from_when_it_connects_until_it_disconnects(happened: Signal[..., Happened]) -> None:
    """Others that stay connected are called throughout."""
    stays, goes = Recorder(), Recorder()
    happened.connect(stays)
    happened.emit(number=1)
    happened.connect(goes)
    happened.emit(number=2)
    happened.disconnect(goes)
    happened.emit(number=3)
    assert (stays.numbers, goes.numbers) == ([1, 2, 3], [2])


def test_a_receiver_may_connect_and_disconnect_others_while_it_is_called(happened: Signal[..., Happened]) -> None:
    """The change counts from the next emission at the latest."""
    late = Recorder()

    def swap(event: Happened) -> None:
        if event.number == 1:
            happened.connect(late)
        if event.number == 3:
            happened.disconnect(late)

    happened.connect(swap)
    for number in (1, 2, 3, 4):
        happened.emit(number=number)
    assert late.numbers[0] in {1, 2}
    assert late.numbers[-1] in {2, 3}


@pytest.mark.slow
def test_a_weak_receiver_goes_with_its_owner(happened: Signal[..., Happened]) -> None:
    """Also beside a strong one, and where the receivers were cached before."""
    strong, weak = Recorder(), Recorder()
    numbers = weak.numbers
    happened.connect(strong)
    happened.emit(number=1)
    happened.connect(weak, weak=True)
    happened.emit(number=2)
    del weak
    gc.collect()
    happened.emit(number=3)
    assert (strong.numbers, numbers) == ([1, 2, 3], [2])


def test_blinkers_own_context_managers_work(happened: Signal[..., Happened]) -> None:
    """`connected_to`, `muted` and `connect_via` go on working between emissions."""
    permanent, temporary = Recorder(), Recorder()
    happened.connect(permanent)
    happened.emit(number=1)
    with happened.connected_to(temporary):
        happened.emit(number=2)
    with happened.muted():
        happened.emit(number=3)
    happened.emit(number=4)
    assert (permanent.numbers, temporary.numbers) == ([1, 2, 4], [2])


def test_a_receiver_that_connects_in_another_thread_is_never_missed(happened: Signal[..., Happened]) -> None:
    """A cache that was being filled when it connected is not used afterwards."""
    listeners = [Recorder() for _ in range(200)]
    happened.connect(lambda _: None)
    connected = 0

    def connect() -> None:
        nonlocal connected
        for listener in listeners:
            happened.connect(listener)
            connected += 1

    thread = Thread(target=connect)
    thread.start()
    while connected < len(listeners):
        happened.emit(number=0)
    thread.join()
    happened.emit(number=1)
    assert all(listener.numbers[-1] == 1 for listener in listeners)


def test_a_muted_signal_reaches_nobody_where_an_emitter_is_bound_meanwhile(happened: Signal[..., Happened]) -> None:
    recorder = Recorder()
    happened.connect(recorder)
    emit = happened.bind("number")
    with happened.muted():
        emit((1,))
        happened.emit(number=2)
    happened.emit(number=3)
    emit((4,))
    assert recorder.numbers == [3, 4]
