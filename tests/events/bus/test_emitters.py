"""A pre-bound emitter reaches receivers as `emit` does."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from blinker import Namespace

from events import ReceiverFailed, Signal, agent_finished, agent_run, llm_called, receiver_failed
from events.bus.emitters import BindableReceiver, EmitterCache, ReceiveFn
from events.bus.fields import inherited
from events.bus.log_throttle import LogThrottle
from events.bus.scope import Scope, get_current_scope, use_scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """Something was sent."""

    kind: str
    size: int
    weight: float | None = None
    urgent: bool = False
    agent_name: str = inherited()


@pytest.fixture
def sent() -> Signal[..., Sent]:
    """A signal of the test's own."""
    return Signal(Sent, Namespace())


class Recorder(BindableReceiver):
    """Records the events that it receives, and the values that it receives without an event."""

    def __init__(self, *, able: bool = True) -> None:
        self.able = able
        self.events: list[Any] = []
        self.values: list[tuple[Any, ...]] = []
        self.fixed: dict[str, Any] = {}

    def __call__(self, event: Any) -> None:
        self.events.append(event)

    def bind(self, fixed: Mapping[str, Any], variable: tuple[str, ...]) -> ReceiveFn | None:
        self.fixed = {**fixed, "variable": variable}
        return self.receive if self.able else None

    def receive(self, values: tuple[Any, ...]) -> None:
        self.values.append(tuple(value for _, value in zip(self.fixed["variable"], values, strict=True)))


class Broken(Recorder):
    """Raises as it receives values."""

    def bind(self, fixed: Mapping[str, Any], variable: tuple[str, ...]) -> ReceiveFn | None:
        return self.fail

    def fail(self, values: tuple[Any, ...]) -> None:
        raise ZeroDivisionError


def test_a_receiver_that_binds_gets_the_values_and_all_other_fields_beforehand(sent: Signal[..., Sent]) -> None:
    """Defaults are fixed, inherited fields are not; no event is built."""
    recorder = sent.connect(Recorder())
    emit = sent.bind("size", "weight", kind="parcel")
    emit((3, 1.5))
    emit((4, None))
    assert recorder.values == [(3, 1.5), (4, None)]
    assert recorder.fixed == {"kind": "parcel", "urgent": False, "variable": ("size", "weight")}
    assert recorder.events == []


def test_other_receivers_get_the_event_that_emit_would_build(sent: Signal[..., Sent]) -> None:
    emit = sent.bind("size", kind="parcel")
    with sent.captured() as seen, agent_run(agent_name="packer"):
        emit((3,))
        sent.emit(kind="parcel", size=3)
    assert seen == [Sent(kind="parcel", size=3, agent_name="packer")] * 2


def test_where_one_receiver_cannot_bind_all_get_the_event(sent: Signal[..., Sent]) -> None:
    """A connected or disconnected receiver counts from the next emission on."""
    recorder = sent.connect(Recorder())
    emit = sent.bind("size", kind="parcel")
    emit((1,))
    with sent.captured() as seen:
        emit((2,))
    emit((3,))
    unable = sent.connect(Recorder(able=False))
    emit((4,))
    sent.disconnect(unable)
    sent.disconnect(recorder)
    emit((5,))
    assert recorder.values == [(1,), (3,)]
    assert [event.size for event in recorder.events] == [2, 4]
    assert [event.size for event in seen] == [2]
    assert [event.size for event in unable.events] == [4]


@pytest.mark.slow
def test_a_receiver_that_is_held_weakly_gets_the_event(sent: Signal[..., Sent]) -> None:
    recorder = Recorder()
    sent.connect(recorder, weak=True)
    emit = sent.bind("size", kind="parcel")
    emit((1,))
    assert [event.size for event in recorder.events] == [1]
    received = recorder.events
    del recorder
    gc.collect()
    emit((2,))
    assert len(received) == 1


def test_several_receivers_that_bind_are_all_called(sent: Signal[..., Sent]) -> None:
    receivers = [sent.connect(Recorder()) for _ in range(3)]
    sent.bind("size", kind="parcel")((7,))
    assert [recorder.values for recorder in receivers] == [[(7,)]] * 3


def test_a_muted_signal_calls_no_bound_receiver(sent: Signal[..., Sent]) -> None:
    recorder = sent.connect(Recorder())
    emit = sent.bind("size", kind="parcel")
    emit((1,))
    with sent.muted():
        emit((2,))
        sent.bind("size", kind="parcel")((3,))
    emit((4,))
    assert recorder.values == [(1,), (4,)]
    assert recorder.events == []


def test_an_emitter_is_bound_once_for_equal_values(sent: Signal[..., Sent], monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the cache's size; past it, all are bound anew."""
    monkeypatch.setattr("events.bus.emitters.EmitterCache.MAX_SIZE", 2)
    emitters = sent.bind_by(("kind", "urgent"), ("size",), weight=0.5)
    with sent.captured() as seen:
        parcel, letter = emitters["parcel", True], emitters["letter", False]
        parcel((1,))
        letter((2,))
        assert emitters["parcel", True] is parcel
        assert emitters["letter", False] is letter
        emitters["card", False]((3,))
    assert list(emitters) == [("card", False)]
    assert seen == [
        Sent(kind="parcel", size=1, weight=0.5, urgent=True),
        Sent(kind="letter", size=2, weight=0.5),
        Sent(kind="card", size=3, weight=0.5),
    ]


def test_values_that_come_a_few_times_are_not_bound(sent: Signal[..., Sent]) -> None:
    """To bind takes as long as dozens of events: a stream of ever new values would pay for it each time."""
    recorder = sent.connect(Recorder())
    emitters = sent.bind_by(("kind",), ("size",))
    for number in range(EmitterCache.CALLS_BEFORE_COMPILING):
        emitters["parcel",]((number,))
    assert recorder.events == [Sent(kind="parcel", size=number) for number in range(8)]
    assert recorder.fixed == {}
    emitters["parcel",]((8,))
    emitters["letter",]((9,))
    assert recorder.values == [(8,)]
    assert recorder.events[8:] == [Sent(kind="letter", size=9)]


@pytest.mark.parametrize(("values", "error"), [(("parcel",), ValueError), (([], True), TypeError)])
def test_values_that_do_not_fit_are_refused_at_the_look_up(
    sent: Signal[..., Sent], values: tuple[Any, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        sent.bind_by(("kind", "urgent"), ("size",))[values]


@pytest.mark.parametrize("receivers", [[], [Recorder()], [Recorder(able=False)]], ids=["none", "bound", "by event"])
def test_an_emitter_returns_the_scope_that_it_emitted_in(sent: Signal[..., Sent], receivers: list[Recorder]) -> None:
    for receiver in receivers:
        sent.connect(receiver)
    emit = sent.bind("size", kind="parcel")
    with agent_run(agent_name="packer"):
        scope = emit((1,))
    assert scope is not None
    assert scope.kind == "agent"
    assert emit((2,)) is None


def test_an_emitter_adds_to_the_totals_of_its_scope() -> None:
    """With and without receivers, bound or not."""
    emit = llm_called.bind("duration", "prompt_tokens", model="m", status="success")
    with agent_finished.captured() as finished:
        for receiver in (None, Recorder(), Recorder(able=False)):
            if receiver is not None:
                llm_called.connect(receiver)
            with agent_run(agent_name="copywriter"):
                emit((0.1, 5))
                emit((0.1, 6))
            if receiver is not None:
                llm_called.disconnect(receiver)
    assert [(event.llm_calls, event.prompt_tokens) for event in finished] == [(2, 11)] * 3


def test_an_emitter_does_not_add_to_the_totals_of_a_generator_that_is_suspended() -> None:
    emit = llm_called.bind("duration", model="m", status="success")

    def stream() -> Iterator[int]:
        with agent_run(agent_name="packer"):
            emit((0.1,))
            yield 1
            emit((0.1,))

    recorder = llm_called.connect(Recorder())
    with agent_finished.captured() as finished:
        for _ in stream():
            emit((0.1,))
    llm_called.disconnect(recorder)
    assert (len(recorder.values), [each.llm_calls for each in finished]) == (3, [2])


def test_an_emitter_adds_to_the_totals_of_a_scope_around_one_that_has_none() -> None:
    emit = llm_called.bind("duration", "prompt_tokens", model="m", status="success")
    recorder = llm_called.connect(Recorder())
    with (
        agent_finished.captured() as finished,
        agent_run(agent_name="copywriter"),
        use_scope(Scope({}, get_current_scope(), {}), end_on_exit=True),
    ):
        emit((0.1, 5))
    llm_called.disconnect(recorder)
    assert [(event.llm_calls, event.prompt_tokens) for event in finished] == [(1, 5)]


@pytest.mark.parametrize(
    ("variable", "fixed"),
    [
        pytest.param(("size",), {}, id="one is missing"),
        pytest.param(("size", "colour"), {"kind": "parcel"}, id="one is not the event's"),
        pytest.param(("size", "kind"), {"kind": "parcel"}, id="one is both"),
    ],
)
def test_fields_that_do_not_fit_are_refused_at_once(
    sent: Signal[..., Sent], variable: tuple[str, ...], fixed: dict[str, Any]
) -> None:
    with pytest.raises(TypeError, match=r"kind|colour"):
        sent.bind(*variable, **fixed)


@pytest.mark.lenient
class TestAFailureDoesNotReachTheEmittingCode:
    """It is reported as `receiver_failed`."""

    def test_of_a_bound_receiver_that_raises(self, sent: Signal[..., Sent]) -> None:
        """Alone or among others, which are called all the same."""
        emit = sent.bind("size", kind="parcel")
        with receiver_failed.captured() as failures:
            sent.connect(Broken())
            emit((1,))
            recorder = sent.connect(Recorder())
            emit((2,))
        assert failures == [ReceiverFailed(signal="sent", receiver="Broken", error="ZeroDivisionError")] * 2
        assert recorder.values == [(2,)]

    def test_of_a_receiver_that_fails_to_bind(self, sent: Signal[..., Sent]) -> None:
        """It receives events instead, and so do the others."""

        class Unbound(Recorder):
            def bind(self, fixed: Mapping[str, Any], variable: tuple[str, ...]) -> ReceiveFn | None:
                raise ZeroDivisionError

        receivers = [sent.connect(Recorder()), sent.connect(Unbound())]
        emit = sent.bind("size", kind="parcel")
        with receiver_failed.captured() as failures:
            emit((1,))
            emit((2,))
        assert [[event.size for event in each.events] for each in receivers] == [[1, 2]] * 2
        assert [failure.error for failure in failures] == ["ZeroDivisionError"]

    @pytest.mark.parametrize("values", [(), (1, 2), None])
    def test_of_too_many_or_too_few_values(self, sent: Signal[..., Sent], values: Any) -> None:
        with sent.captured() as seen, receiver_failed.captured() as failures:
            sent.bind("size", kind="parcel")(values)
        assert seen == []
        assert [failure.receiver for failure in failures] == ["emit"]

    @pytest.mark.parametrize(("receivers", "told"), [(1, "receiver Recorder failed with"), (2, "emit failed with")])
    def test_and_the_log_says_whether_it_was_a_receiver_or_the_emission(
        self, receivers: int, told: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("events.bus.failures._throttle", LogThrottle())
        recorders = [llm_called.connect(Recorder()) for _ in range(receivers)]
        with agent_run(agent_name="packer"):
            llm_called.bind("duration", model="m", status="success")(())
        for recorder in recorders:
            llm_called.disconnect(recorder)
        assert [told in message for message in caplog.messages] == [True]

    @pytest.mark.parametrize("values", [(), (1, 2), None])
    def test_of_too_many_or_too_few_values_inside_a_scope(self, sent: Signal[..., Sent], values: Any) -> None:
        recorder = sent.connect(Recorder())
        with agent_run(agent_name="packer"), receiver_failed.captured() as failures:
            sent.bind("size", kind="parcel")(values)
        assert recorder.values == []
        assert [failure.receiver for failure in failures] == ["Recorder"]

    @pytest.mark.parametrize("values", [(), (1, 2), None])
    @pytest.mark.parametrize(("receivers", "reported"), [(0, "emit"), (1, "Recorder"), (2, "emit")])
    def test_of_too_many_or_too_few_values_in_a_scope_that_sums_them(
        self, values: Any, receivers: int, reported: str
    ) -> None:
        recorders = [Recorder() for _ in range(receivers)]
        for recorder in recorders:
            llm_called.connect(recorder)
        with agent_run(agent_name="packer"), receiver_failed.captured() as failures:
            llm_called.bind("duration", model="m", status="success")(values)
        for recorder in recorders:
            llm_called.disconnect(recorder)
        assert [recorder.values for recorder in recorders] == [[]] * receivers
        assert [failure.receiver for failure in failures] == [reported]
