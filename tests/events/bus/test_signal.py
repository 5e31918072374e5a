"""A signal passes typed events to receivers through blinker, and works as blinker's users expect."""

from __future__ import annotations

import gc
import inspect
import re
import weakref
from collections.abc import AsyncIterator, Callable
from dataclasses import FrozenInstanceError, dataclass, make_dataclass
from functools import partial, wraps
from threading import Barrier, Thread
from typing import Any, Protocol
from unittest.mock import AsyncMock

import blinker
import pytest
from blinker import Namespace

import events
from events import Signal, ToolCalled, agent_run, background, llm_called, receiver_failed, tool_called
from events.bus.receiver_inspection import callable_name


@dataclass(frozen=True, slots=True, kw_only=True)
class BellRang:
    """A bell rang."""

    tone: str = "a"
    times: int = 1


@pytest.fixture
def names() -> Namespace:
    return Namespace()


@pytest.fixture
def bell_rang(names: Namespace) -> Signal[..., BellRang]:
    return Signal(BellRang, names)


def test_every_receiver_gets_the_same_immutable_event(bell_rang: Signal[..., BellRang]) -> None:
    first: list[BellRang] = []
    second: list[BellRang] = []
    bell_rang.connect(first.append)
    bell_rang.connect(second.append)
    bell_rang.emit(tone="c", times=3)
    assert first == [BellRang(tone="c", times=3)]
    assert second[0] is first[0]
    with pytest.raises(FrozenInstanceError):
        first[0].tone = "d"  # type: ignore[misc]  # what is shown not to work


def test_the_signal_is_in_blinkers_namespace() -> None:
    """A listener need not import ours."""
    assert blinker.signal("llm_called") is llm_called
    assert all(
        blinker.signal(name) is signal for name, signal in vars(events).items() if isinstance(signal, blinker.Signal)
    )


def test_the_documentation_of_the_event_is_that_of_the_signal(bell_rang: Signal[..., BellRang]) -> None:
    assert bell_rang.__doc__ == "A bell rang."
    assert inspect.signature(bell_rang.event).parameters.keys() == {"tone", "times"}


def test_a_plain_signal_of_that_name_is_adopted_with_its_receivers(names: Namespace) -> None:
    received: list[Any] = []
    plain = names.signal("bell_rang")
    plain.connect(received.append, weak=False)
    ours = Signal(BellRang, names)
    assert ours is plain
    assert isinstance(plain, Signal)
    ours.emit(times=2)
    assert received == [BellRang(times=2)]


@pytest.mark.slow
def test_an_adopted_weak_receiver_goes_when_its_owner_goes(names: Namespace) -> None:
    class Owner:
        def __init__(self) -> None:
            self.received: list[Any] = []

        def receive(self, event: Any) -> None:
            self.received.append(event)

    owner = Owner()
    names.signal("bell_rang").connect(owner.receive)
    ours = Signal(BellRang, names)
    ours.emit()
    assert owner.received == [BellRang()]
    del owner
    gc.collect()
    assert not ours.receivers


@pytest.mark.lenient
def test_an_adopted_coroutine_receiver_is_reported_at_every_emission(names: Namespace) -> None:
    """It could not be refused when it was connected; it must not be left out silently either."""

    async def never_awaited(event: Any) -> None:
        raise AssertionError

    names.signal("bell_rang").connect(never_awaited, weak=False)
    ours = Signal(BellRang, names)
    with receiver_failed.captured() as failures:
        ours.emit()
        ours.emit()
    assert [(failure.signal, failure.error) for failure in failures] == [("bell_rang", "TypeError")] * 2


def test_an_adopted_receiver_of_one_sender_is_still_called_for_that_sender(names: Namespace) -> None:
    received: list[Any] = []
    plain = names.signal("bell_rang")
    plain.connect(received.append, sender="tower", weak=False)
    ours = Signal(BellRang, names)
    ours.emit()
    assert received == []
    plain.send("tower")
    assert received == ["tower"]


def test_two_events_under_one_name_are_an_error(names: Namespace, bell_rang: Signal[..., BellRang]) -> None:
    other: Any = make_dataclass("BellRang", [("tone", str)], frozen=True, kw_only=True)
    other.__module__ = "church"
    with pytest.raises(ValueError, match="'bell_rang' is declared twice"):
        Signal(other, names)
    assert names["bell_rang"] is bell_rang


@dataclass(kw_only=True)
class Mutable:
    tone: str


@dataclass(frozen=True)
class Positional:
    tone: str


class NoDataclass:
    pass


@pytest.mark.parametrize("event", [Mutable, Positional, NoDataclass, BellRang()])
def test_an_event_that_receivers_could_not_share_is_refused_and_takes_no_name(names: Namespace, event: Any) -> None:
    with pytest.raises(TypeError, match="frozen=True"):
        Signal(event, names)
    assert not names


@pytest.mark.lenient
def test_no_event_is_built_without_receivers(names: Namespace) -> None:
    built: list[object] = []

    @dataclass(frozen=True, kw_only=True)
    class Costly:
        size: int

        def __post_init__(self) -> None:
            built.append(self)

    costly: Signal[..., Costly] = Signal(Costly, names)
    costly.emit(size=1)
    with costly.captured(), costly.muted():
        costly.emit(size=1)
    assert not built
    with costly.captured() as received:
        costly.emit(size=1)
    assert built == received


@pytest.mark.slow
def test_a_closure_without_other_references_stays_connected(bell_rang: Signal[..., BellRang]) -> None:
    received: list[BellRang] = []

    def subscribe() -> None:
        bell_rang.connect(lambda event: received.extend([event]))

    subscribe()
    gc.collect()
    bell_rang.emit()
    assert received == [BellRang()]


@pytest.mark.slow
def test_a_receiver_can_be_held_weakly(bell_rang: Signal[..., BellRang]) -> None:
    def receive(event: BellRang) -> None: ...

    bell_rang.connect(receive, weak=True)
    gone = weakref.ref(receive)
    del receive
    gc.collect()
    assert gone() is None
    assert not bell_rang.receivers


def test_connect_decorates(bell_rang: Signal[..., BellRang]) -> None:
    received: list[BellRang] = []

    @bell_rang.connect
    def receive(event: BellRang) -> str:
        received.append(event)
        return "its result is ignored"

    bell_rang.emit()
    assert receive(BellRang()) == "its result is ignored"
    assert len(received) == 2


def test_a_receiver_that_is_connected_twice_is_called_once(bell_rang: Signal[..., BellRang]) -> None:
    received: list[BellRang] = []
    receive = received.append
    bell_rang.connect(receive)
    bell_rang.connect(receive)
    bell_rang.emit()
    assert len(received) == 1


async def coroutine(event: object) -> None: ...


async def stream(event: object) -> AsyncIterator[int]:
    yield 1


class Awaited:
    async def __call__(self, event: object) -> None: ...

    async def method(self, event: object) -> None: ...


class Streamed:
    async def __call__(self, event: object) -> AsyncIterator[int]:
        yield 1


@pytest.mark.parametrize(
    "receiver",
    [
        coroutine,
        stream,
        partial(coroutine),
        partial(partial(stream)),
        Awaited(),
        partial(Awaited()),
        Streamed(),
        Awaited().method,
        partial(Awaited().method),
    ],
    ids=lambda receiver: re.sub(r" at 0x\w+", "", repr(receiver)),
)
def test_a_receiver_that_would_have_to_be_awaited_is_refused(
    bell_rang: Signal[..., BellRang], receiver: Callable[[Any], Any]
) -> None:
    with pytest.raises(TypeError, match=r"called, not awaited.*connect events\.background"):
        bell_rang.connect(receiver)
    with pytest.raises(TypeError, match="called, not awaited"), bell_rang.connected_to(receiver):
        pass
    assert not bell_rang.receivers


def test_a_class_can_be_a_receiver_though_its_instances_are_async(bell_rang: Signal[..., BellRang]) -> None:
    received: list[object] = []

    class Note:
        def __init__(self, event: object) -> None:
            received.append(event)

        async def __call__(self) -> None: ...

    bell_rang.connect(Note)
    bell_rang.emit()
    assert received == [BellRang()]


@pytest.mark.lenient
@pytest.mark.parametrize("answer", [coroutine, stream, AsyncMock()], ids=["coroutine", "stream", "mock"])
def test_a_plain_callable_that_returns_something_to_await_is_reported(
    bell_rang: Signal[..., BellRang], answer: Callable[[Any], Any]
) -> None:
    bell_rang.connect(lambda event: answer(event))  # noqa: PLW0108  # connected by itself it would be refused
    with receiver_failed.captured() as failures:
        bell_rang.emit()
    assert [(failure.signal, failure.error) for failure in failures] == [("bell_rang", "TypeError")]
    assert "<lambda>" in failures[0].receiver


@pytest.mark.parametrize("sender", ["tower", 0, None, BellRang()])
def test_a_named_sender_is_refused(bell_rang: Signal[..., BellRang], sender: object) -> None:
    """Here the event itself is what blinker calls the sender."""
    with pytest.raises(TypeError, match="no senders to choose from"):
        bell_rang.connect(print, sender=sender)
    with pytest.raises(TypeError, match="no senders to choose from"):
        bell_rang.connect_via(sender)(print)
    assert not bell_rang.receivers


def test_captured_leaves_permanent_subscriptions_alone(bell_rang: Signal[..., BellRang]) -> None:
    permanent: list[BellRang] = []
    bell_rang.connect(permanent.append)
    with bell_rang.captured() as outer, bell_rang.captured() as inner:
        bell_rang.emit(times=1)
    bell_rang.emit(times=2)
    assert outer == inner == [BellRang(times=1)]
    assert permanent == [BellRang(times=1), BellRang(times=2)]
    assert len(bell_rang.receivers) == 1


def test_a_muted_signal_calls_no_receiver(bell_rang: Signal[..., BellRang]) -> None:
    with bell_rang.captured() as received:
        with bell_rang.muted():
            bell_rang.emit()
            bell_rang.send(BellRang())
        bell_rang.emit(times=2)
    assert received == [BellRang(times=2)]


def test_an_event_that_is_already_built_can_be_sent(bell_rang: Signal[..., BellRang]) -> None:
    event = BellRang(times=7)
    with bell_rang.captured() as received:
        assert bell_rang.send(event) == []
    assert received[0] is event


def test_a_sent_event_counts_in_the_spans_around_it() -> None:
    called = events.LLMCalled(model="m", status="success", duration=1.0, prompt_tokens=5)
    with agent_run(agent_name="writer") as run:
        llm_called.send(called)
        assert run.totals == {"llm_calls": 1, "prompt_tokens": 5}


def test_anything_but_an_event_is_sent_as_blinker_sends_it(bell_rang: Signal[..., BellRang]) -> None:
    bell_rang.connect(lambda sender, **fields: (sender, fields))
    assert [answer for _, answer in bell_rang.send("tower", loud=True)] == [("tower", {"loud": True})]


def test_a_receiver_may_emit_connect_and_disconnect(bell_rang: Signal[..., BellRang]) -> None:
    received: list[int] = []

    def once(event: BellRang) -> None:
        bell_rang.disconnect(once)
        bell_rang.connect(later)
        bell_rang.emit(times=event.times + 1)

    def later(event: BellRang) -> None:
        received.append(event.times)

    bell_rang.connect(once)
    bell_rang.emit(times=1)
    bell_rang.emit(times=10)
    assert received == [2, 10]


@pytest.mark.lenient
def test_a_receiver_that_emits_without_end_is_a_failure_like_any_other(bell_rang: Signal[..., BellRang]) -> None:
    calls = 0

    def echo(event: BellRang) -> None:
        nonlocal calls
        calls += 1
        bell_rang.emit()

    bell_rang.connect(echo)
    with receiver_failed.captured() as failures:
        bell_rang.emit()
    assert {failure.error for failure in failures} == {"RecursionError"}
    assert calls < 10_000


def test_what_builds_events_is_made_when_a_receiver_connects(bell_rang: Signal[..., BellRang]) -> None:
    """The first event may come where the stack has no room for more."""
    assert bell_rang._construct is None  # nobody listens, so nothing was made
    bell_rang.connect(lambda _: None)
    assert bell_rang._construct is not None  # the same


@pytest.mark.slow
def test_receivers_connect_and_disconnect_while_other_threads_emit(bell_rang: Signal[..., BellRang]) -> None:
    """Permanent receivers are called at every emission, however busy the signal is."""
    permanent: list[BellRang] = []
    bell_rang.connect(permanent.append)
    emitters, changers, rounds = 4, 4, 300
    barrier = Barrier(emitters + changers)
    raised: list[BaseException] = []

    def run(step: Callable[[], None]) -> None:
        barrier.wait()
        try:
            for _ in range(rounds):
                step()
        except BaseException as error:
            raised.append(error)

    def come_and_go() -> None:
        with bell_rang.captured():
            bell_rang.emit(times=0)

    threads = [Thread(target=run, args=(bell_rang.emit,)) for _ in range(emitters)]
    threads += [Thread(target=run, args=(come_and_go,)) for _ in range(changers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not raised
    assert sum(event.times for event in permanent) == emitters * rounds
    assert len(permanent) == (emitters + changers) * rounds
    assert len(bell_rang.receivers) == 1


def test_blinkers_own_signals_about_receivers_still_come(bell_rang: Signal[..., BellRang]) -> None:
    seen: list[Any] = []

    def notice(signal: Any, /, *, receiver: Any, **rest: Any) -> None:
        seen.append(receiver)

    bell_rang.receiver_connected.connect(notice)
    bell_rang.connect(print)
    assert seen == [print]


@pytest.mark.parametrize("times", [1, 12])  # from the ninth time on the receivers are prepared for these fields
def test_fields_in_a_dict_are_emitted_as_those_that_are_named(times: int) -> None:
    fields: dict[str, Any] = {"tool_name": "brand_facts", "status": "success", "duration": 0.1}
    with tool_called.captured() as received:
        for _ in range(times):
            tool_called.emit(**fields)
            tool_called.emit_fields({**fields})
            with agent_run(agent_name="writer") as run:
                tool_called.emit(**fields)
                tool_called.emit_fields({**fields})
            assert run.totals["tool_calls"] == 2
    assert received[::4] == received[1::4] == [ToolCalled(**fields)] * times
    assert received[2::4] == received[3::4]
    assert {each.agent_name for each in received[3::4]} == {"writer"}


@pytest.mark.lenient
def test_fields_in_a_dict_that_do_not_fit_are_a_failure(bell_rang: Signal[..., BellRang]) -> None:
    with receiver_failed.captured() as failed, bell_rang.captured() as received:
        bell_rang.emit_fields({"pitch": "a"})
    assert ([each.receiver for each in failed], received) == (["emit"], [])


def test_an_event_outside_any_span_has_its_defaults() -> None:
    with tool_called.captured() as received:
        tool_called.emit(tool_name="brand_facts", status="success", duration=0.1)
    assert (received[0].agent_name, received[0].workflow_type, received[0].run_id) == ("unknown", "unknown", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class WhistleBlew:
    """Another event."""


class Listener:
    """Listens by a method and by being called."""

    def other(self, event: WhistleBlew) -> None: ...

    def right(self, event: BellRang) -> None: ...

    def __call__(self, event: WhistleBlew) -> None: ...


def takes_other(event: WhistleBlew) -> None: ...


def takes_two_others(event: WhistleBlew | int) -> None: ...


async def awaits_other(event: WhistleBlew) -> None: ...


@pytest.mark.parametrize(
    "receiver",
    [takes_other, takes_two_others, partial(takes_other), Listener().other, Listener(), background(awaits_other)],
    ids=callable_name,
)
def test_a_receiver_annotated_with_another_event_is_refused(
    bell_rang: Signal[..., BellRang], receiver: Callable[..., Any]
) -> None:
    with pytest.raises(TypeError, match="is annotated with another class than BellRang"):
        bell_rang.connect(receiver)
    with pytest.raises(TypeError, match="another class"), bell_rang.connected_to(receiver):
        pass
    assert not bell_rang.receivers


class HasTone(Protocol):
    """What an event may look like."""

    tone: str


def takes_any(event: Any) -> None: ...


def takes_object(event: object) -> None: ...


def takes_either(event: WhistleBlew | BellRang) -> None: ...


def takes_a_protocol(event: HasTone) -> None: ...


def takes_what_is_not_there(event: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821  # what it shows


def takes_keywords(**fields: Any) -> None: ...


@wraps(takes_other)
def takes_what_another_function_takes(event: Any) -> None: ...


@pytest.mark.parametrize(
    "receiver",
    [
        takes_any,
        takes_object,
        takes_either,
        takes_a_protocol,
        takes_what_is_not_there,
        takes_keywords,
        takes_what_another_function_takes,
        Listener().right,
        background(takes_object),
        print,
    ],
    ids=callable_name,
)
def test_a_receiver_that_may_take_the_event_is_connected(
    bell_rang: Signal[..., BellRang], receiver: Callable[..., Any]
) -> None:
    assert bell_rang.connect(receiver) is receiver
    bell_rang.disconnect(receiver)
