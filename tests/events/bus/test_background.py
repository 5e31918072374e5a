"""A background listener never holds up who emits, drops no event uncounted, and never holds up the exit."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Barrier, Event, Thread, current_thread
from time import monotonic
from typing import Any

import pytest
from blinker import Namespace

import events
from events import Background, EventDropped, ReceiverFailed, Signal, background, event_dropped, receiver_failed


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterSent:
    """A letter was sent."""

    number: int = 0


Post = Signal[..., LetterSent]


@pytest.fixture
def letter_sent() -> Post:
    return Signal(LetterSent, Namespace())


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Every listener's thread ends with its test."""
    before = {*threading.enumerate()}
    yield
    for thread in {*threading.enumerate()} - before:
        thread.join(5)
        assert not thread.is_alive(), thread.name


class Stuck:
    """A listener that hangs in its first event until it is released."""

    def __init__(self) -> None:
        self.entered = Event()
        self.released = Event()
        self.received: list[int] = []

    def __call__(self, event: Any) -> None:
        self.entered.set()
        self.released.wait(30)
        self.received.append(event.number)


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    listener = Stuck()
    yield listener
    listener.released.set()


def test_events_arrive_in_order_in_one_thread_of_its_own(letter_sent: Post) -> None:
    received: list[tuple[int, Thread]] = []
    with background(lambda event: received.append((event.number, current_thread()))) as receiver:
        letter_sent.connect(receiver)
        for number in range(1_000):
            letter_sent.emit(number=number)
    assert [number for number, _ in received] == list(range(1_000))
    (thread,) = {thread for _, thread in received}
    assert thread is not current_thread()
    assert thread.daemon
    assert "<lambda>" in thread.name


def test_emitting_does_not_wait_for_the_listener(letter_sent: Post, stuck: Stuck) -> None:
    with background(stuck) as receiver:
        letter_sent.connect(receiver)
        letter_sent.emit(number=1)
        assert stuck.entered.wait(5)
        letter_sent.emit(number=2)
        assert stuck.received == []
        stuck.released.set()
    assert stuck.received == [1, 2]


def test_a_coroutine_listener_runs_on_one_loop_one_event_at_a_time(letter_sent: Post) -> None:
    received: list[int] = []
    loops: set[object] = set()
    under_way = 0

    async def listen(event: LetterSent) -> None:
        nonlocal under_way
        under_way += 1
        assert under_way == 1
        await asyncio.sleep(0)
        loops.add(asyncio.get_running_loop())
        received.append(event.number)
        under_way -= 1

    with background(listen) as receiver:
        letter_sent.connect(receiver)
        for number in range(100):
            letter_sent.emit(number=number)
    assert received == list(range(100))
    assert len(loops) == 1


class Awaited:
    def __init__(self) -> None:
        self.received: list[object] = []

    async def __call__(self, event: object) -> None:
        await asyncio.sleep(0)
        self.received.append(event)


def called_by_a_function(listener: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def call(event: Any) -> Any:
        return listener(event)

    return call


@pytest.mark.parametrize("wrap", [lambda one: one, partial, called_by_a_function])
def test_a_listener_that_returns_a_coroutine_is_awaited(letter_sent: Post, wrap: Callable[[Any], Any]) -> None:
    awaited = Awaited()
    with background(wrap(awaited)) as receiver:
        letter_sent.connect(receiver)
        letter_sent.emit()
    assert awaited.received == [LetterSent()]


@pytest.mark.lenient
def test_a_listener_that_yields_would_never_run_and_is_reported(letter_sent: Post) -> None:
    async def stream(event: object) -> AsyncIterator[int]:
        yield 1

    with receiver_failed.captured() as failures, background(stream) as receiver:
        letter_sent.connect(receiver)
        letter_sent.emit()
    assert [(failure.signal, failure.error) for failure in failures] == [("letter_sent", "TypeError")]


def test_one_receiver_serves_several_signals() -> None:
    received: list[object] = []
    with (
        background(received.append) as receiver,
        event_dropped.connected_to(receiver),
        receiver_failed.connected_to(receiver),
    ):
        event_dropped.emit(signal="a", receiver="b")
        receiver_failed.emit(signal="a", receiver="b")
    assert [type(event) for event in received] == [EventDropped, ReceiverFailed]


def test_past_its_size_the_newest_is_dropped_and_counted(letter_sent: Post, stuck: Stuck) -> None:
    with event_dropped.captured() as drops, background(stuck, size=3) as receiver:
        letter_sent.connect(receiver)
        letter_sent.emit(number=0)
        assert stuck.entered.wait(5)
        for number in range(1, 8):
            letter_sent.emit(number=number)
        stuck.released.set()
    assert stuck.received == [0, 1, 2, 3]
    assert drops == [EventDropped(signal="letter_sent", receiver="Stuck")] * 4


def test_ten_thousand_events_wait_by_default(letter_sent: Post, stuck: Stuck) -> None:
    with event_dropped.captured() as drops, background(stuck) as receiver:
        letter_sent.connect(receiver)
        letter_sent.emit(number=0)
        assert stuck.entered.wait(5)
        for number in range(1, 10_003):
            letter_sent.emit(number=number)
        stuck.released.set()
    assert len(drops) == 2
    assert stuck.received == [*range(10_001)]


@pytest.mark.parametrize("size", [0, -1])
def test_a_size_that_would_drop_everything_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"size={size}"):
        background(print, size=size)


def test_a_full_listener_of_drops_does_not_report_its_own(letter_sent: Post, stuck: Stuck) -> None:
    """Else each drop would be one more event to drop, for ever."""
    with background(stuck, size=1, drain=0) as receiver, event_dropped.captured() as drops:
        receiver.close()
        with event_dropped.connected_to(receiver):
            letter_sent.connect(receiver)
            letter_sent.emit()
    assert drops == [EventDropped(signal="letter_sent", receiver="Stuck")]


@pytest.mark.parametrize("error_class", [ValueError, SystemExit, asyncio.CancelledError, KeyboardInterrupt])
@pytest.mark.parametrize("kind", ["plain", "coroutine"])
@pytest.mark.lenient
def test_a_listener_that_raises_is_reported_and_goes_on(
    letter_sent: Post, error_class: type[BaseException], kind: str
) -> None:
    received: list[int] = []

    def listen(event: LetterSent) -> None:
        received.append(event.number)
        if event.number == 1:
            raise error_class

    async def listen_async(event: LetterSent) -> None:
        await asyncio.sleep(0)
        listen(event)

    listener = listen if kind == "plain" else listen_async
    with receiver_failed.captured() as failures, background(listener) as receiver:
        letter_sent.connect(receiver)
        for number in range(3):
            letter_sent.emit(number=number)
    assert received == [0, 1, 2]
    assert failures == [
        ReceiverFailed(signal="letter_sent", receiver=listener.__qualname__, error=error_class.__name__),
    ]


def test_strict_raises_the_first_failure_at_close(letter_sent: Post) -> None:
    """In the listener's thread there is nobody to raise it to."""
    received: list[int] = []

    def listen(event: LetterSent) -> None:
        received.append(event.number)
        raise ValueError(event.number)

    receiver = background(listen)
    letter_sent.connect(receiver)
    for number in range(3):
        letter_sent.emit(number=number)
    with events.strict(), pytest.raises(ValueError, match="0"):
        receiver.close()
    assert received == [0, 1, 2]
    receiver.close()


def test_close_passes_on_the_events_that_wait(letter_sent: Post, stuck: Stuck) -> None:
    receiver = background(stuck)
    letter_sent.connect(receiver)
    for number in range(100):
        letter_sent.emit(number=number)
    stuck.released.set()
    with event_dropped.captured() as drops:
        receiver.close()
    assert stuck.received == list(range(100))
    assert not drops


@pytest.mark.parametrize("size", [3, 10_000])
def test_close_stops_waiting_for_a_listener_that_hangs_and_counts_the_events_lost(
    letter_sent: Post, stuck: Stuck, size: int
) -> None:
    """Whether its queue has room or not."""
    receiver = background(stuck, size=size, drain=0.05)
    letter_sent.connect(receiver)
    letter_sent.emit(number=0)
    assert stuck.entered.wait(5)
    for number in range(1, 4):
        letter_sent.emit(number=number)
    began = monotonic()
    with event_dropped.captured() as drops:
        receiver.close()
    assert 0.04 < monotonic() - began < 5
    assert len(drops) == 4, "the one that it hangs in is lost too"
    stuck.released.set()


async def test_the_event_that_a_coroutine_is_in_when_the_time_ends_is_counted(letter_sent: Post) -> None:
    """On the listener's own loop, and on the application's."""
    entered, released = Event(), Event()

    async def listen(_letter: LetterSent) -> None:
        entered.set()
        await asyncio.to_thread(released.wait, 30)

    for loop in (asyncio.get_running_loop(), None):
        receiver = background(listen, drain=0.05, loop=loop)
        with letter_sent.connected_to(receiver), event_dropped.captured() as drops:
            for number in range(3):
                letter_sent.emit(number=number)
            assert await asyncio.to_thread(entered.wait, 5)
            await receiver.aclose()
        assert len(drops) == 3
        released.set()
        assert receiver._thread is not None
        await asyncio.to_thread(receiver._thread.join, 5)
        entered.clear()
        released.clear()


def test_an_event_that_ends_within_the_time_is_not_counted_as_dropped(letter_sent: Post, stuck: Stuck) -> None:
    receiver = background(stuck, drain=30)
    letter_sent.connect(receiver)
    letter_sent.emit(number=0)
    assert stuck.entered.wait(5)
    with event_dropped.captured() as drops:
        closing = Thread(target=receiver.close)
        closing.start()
        stuck.released.set()
        closing.join(5)
    assert not closing.is_alive()
    assert (stuck.received, drops) == ([0], [])


def test_events_after_close_are_dropped_and_counted(letter_sent: Post) -> None:
    received: list[object] = []
    receiver = background(received.append)
    letter_sent.connect(receiver)
    receiver.close()
    with event_dropped.captured() as drops:
        letter_sent.emit()
    assert not received
    assert len(drops) == 1


def test_a_second_close_does_nothing(letter_sent: Post) -> None:
    receiver = background(print)
    receiver.close()
    receiver.close()


def test_a_listener_may_close_itself(letter_sent: Post) -> None:
    received: list[int] = []
    finished = Event()

    def listen(event: LetterSent) -> None:
        received.append(event.number)
        if event.number == 2:
            receiver.close()
            finished.set()

    receiver = background(listen)
    letter_sent.connect(receiver)
    for number in range(3):
        letter_sent.emit(number=number)
    assert finished.wait(5)
    assert received == [0, 1, 2]


@pytest.mark.slow
def test_no_event_is_lost_uncounted_when_it_is_closed_during_emissions(letter_sent: Post) -> None:
    senders, each = 4, 500
    for _ in range(5):
        received: list[LetterSent] = []
        barrier = Barrier(senders + 1)

        def send(barrier: Barrier = barrier) -> None:
            barrier.wait()
            for number in range(each):
                letter_sent.emit(number=number)

        receiver = background(received.append, size=50)
        with event_dropped.captured() as drops, letter_sent.connected_to(receiver):
            threads = [Thread(target=send) for _ in range(senders)]
            for thread in threads:
                thread.start()
            barrier.wait()
            receiver.close()
            for thread in threads:
                thread.join()
        assert len(received) + len(drops) == senders * each


def test_a_listener_without_events_has_no_thread() -> None:
    before = threading.active_count()
    with background(print):
        assert threading.active_count() == before


def test_emitting_while_the_queue_is_locked_does_not_deadlock(letter_sent: Post) -> None:
    """The garbage collector may end a span, which emits, in the thread that is putting an event into the queue."""
    received: list[int] = []
    with background(lambda event: received.append(event.number)) as receiver:
        letter_sent.connect(receiver)
        with receiver._changed:
            letter_sent.emit(number=1)
    assert received == [1]


@pytest.mark.slow
def test_a_closed_receiver_can_be_collected() -> None:
    def count() -> int:
        gc.collect()
        return sum(isinstance(one, Background) for one in gc.get_objects())

    before = count()
    background(print).close()
    assert count() == before


def run(script: str, tmp_path: Path, within: float = 20.0) -> str:
    """Return what a script prints; it has to end in time, with status 0 and nothing on its standard error."""
    path = tmp_path / "script.py"
    path.write_text(script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", path], capture_output=True, text=True, timeout=within, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_the_events_that_wait_are_passed_on_at_exit(tmp_path: Path, kind: str) -> None:
    output = run(
        f"""
from threading import Event
from events import background, tool_called

gate = Event()

@tool_called.connect
@background
{kind} listen(event):
    gate.wait()
    print(event.tool_name, flush=True)

for number in range(3):
    tool_called.emit(tool_name=str(number), status="success", duration=0.1)
gate.set()
""",
        tmp_path,
    )
    assert output.splitlines() == ["0", "1", "2"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_a_listener_that_hangs_for_ever_does_not_hold_up_the_exit(tmp_path: Path, kind: str) -> None:
    listener = {
        "plain": "def listen(event): entered.set(); Event().wait()",
        "coroutine": "async def listen(event): entered.set(); await asyncio.Event().wait()",
    }[kind]
    output = run(
        f"""
import asyncio
from threading import Event
from events import background, event_dropped, tool_called

{listener}

entered = Event()
event_dropped.connect(lambda event: print(event.receiver, flush=True))
tool_called.connect(background(listen, drain=0.1))
for number in range(3):
    tool_called.emit(tool_name=str(number), status="success", duration=0.1)
assert entered.wait(5)
""",
        tmp_path,
    )
    assert output.splitlines() == ["listen", "listen", "listen"]


@pytest.mark.lenient
def test_a_thread_that_cannot_start_is_tried_again_at_the_next_event(
    letter_sent: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    received: list[int] = []
    with background(lambda event: received.append(event.number)) as listener, letter_sent.connected_to(listener):
        with monkeypatch.context() as patched, receiver_failed.captured() as failures:
            patched.setattr(Thread, "start", refuse)
            letter_sent.emit(number=1)
        letter_sent.emit(number=2)
    assert [failure.error for failure in failures] == ["RuntimeError"]
    assert received == [1, 2]


@pytest.mark.slow
def test_a_forked_child_starts_with_an_empty_queue(tmp_path: Path) -> None:
    """Events that wait in the parent, its thread and a locked lock are not the child's; each event is received once."""
    output = run(
        """
import os
import warnings
from threading import Event, Thread
from events import agent_run, background, llm_called
from events.bus import scope

warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of threads at every fork
gate = Event()

def listen(event):
    gate.wait()
    print("child" if os.getpid() != parent else "parent", event.model, flush=True)

def call(model):
    with agent_run(agent_name="writer"):
        llm_called.emit(model=model, status="success", duration=0.1, prompt_tokens=1)

def fork_while(lock):
    held = Event()
    def hold():
        with lock:
            held.set()
            Event().wait(0.2)
    holder = Thread(target=hold)
    holder.start()
    held.wait()
    child = os.fork()
    if child == 0:
        gate.set()
        call("again")
        receiver.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    holder.join()

parent = os.getpid()
receiver = background(listen)
llm_called.connect(receiver)
call("before")
fork_while(receiver._changed)
fork_while(scope._totals_lock)
gate.set()
call("after")
""",
        tmp_path,
    )
    assert output.splitlines() == ["child again", "child again", "parent before", "parent after"]


async def test_a_coroutine_listener_may_run_on_the_applications_loop(letter_sent: Post) -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    numbers: list[int] = []

    async def listener(letter: LetterSent) -> None:
        await asyncio.sleep(0.001)
        loops.append(asyncio.get_running_loop())
        numbers.append(letter.number)

    async with background(listener, loop=asyncio.get_running_loop()) as receiver:
        with letter_sent.connected_to(receiver):
            for number in range(5):
                letter_sent.emit(number=number)
    assert numbers == [0, 1, 2, 3, 4]
    assert set(loops) == {asyncio.get_running_loop()}


async def test_a_close_on_the_listeners_own_loop_waits_for_nothing_and_counts_what_is_lost(letter_sent: Post) -> None:
    entered, released = asyncio.Event(), asyncio.Event()

    async def listener(_letter: LetterSent) -> None:
        entered.set()
        await released.wait()

    receiver = background(listener, drain=30, loop=asyncio.get_running_loop())
    with letter_sent.connected_to(receiver), event_dropped.captured() as dropped:
        for number in range(3):
            letter_sent.emit(number=number)
        await entered.wait()
        began = monotonic()
        receiver.close()
        assert monotonic() - began < 5
    assert len(dropped) == 2
    released.set()
    await asyncio.sleep(0.01)


@pytest.mark.lenient
async def test_what_a_listener_raises_on_another_loop_is_reported(letter_sent: Post) -> None:
    async def listener(letter: LetterSent) -> None:
        raise LookupError(letter.number)

    with receiver_failed.captured() as failures:
        async with background(listener, loop=asyncio.get_running_loop()) as receiver:
            with letter_sent.connected_to(receiver):
                letter_sent.emit(number=1)
    assert [(each.signal, each.error) for each in failures] == [("letter_sent", "LookupError")]


@pytest.mark.lenient
def test_a_loop_that_is_closed_is_reported_and_holds_up_nothing(letter_sent: Post) -> None:
    async def listener(_letter: LetterSent) -> None:
        await asyncio.sleep(30)

    loop = asyncio.new_event_loop()
    receiver = background(listener, loop=loop, drain=5)
    with receiver_failed.captured() as failures, receiver, letter_sent.connected_to(receiver):
        letter_sent.emit(number=1)  # waits for a loop that does not run
        loop.close()
        letter_sent.emit(number=2)
    assert [each.error for each in failures] == ["RuntimeError", "RuntimeError"]
