"""What is emitted with most fields known beforehand reaches receivers as if `emit` had told it."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from blinker import Namespace

from events import ReceiverFailed, Signal, agent_finished, agent_run, llm_called, receiver_failed
from events.bus.context import Scope, get_current_scope, use_scope
from events.bus.emitters import BindableReceiver, ReceiveFn
from events.bus.fields import inherited


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


class Ready(BindableReceiver):
    """Keeps the events that it is told, and what it is told without one."""

    def __init__(self, *, able: bool = True) -> None:
        self.able = able
        self.events: list[Any] = []
        self.values: list[tuple[Any, ...]] = []
        self.known: dict[str, Any] = {}

    def __call__(self, event: Any) -> None:
        self.events.append(event)

    def bind(self, known: Mapping[str, Any], named: tuple[str, ...]) -> ReceiveFn | None:
        self.known = {**known, "named": named}
        return self.take if self.able else None

    def take(self, values: tuple[Any, ...]) -> None:
        self.values.append(tuple(value for _, value in zip(self.known["named"], values, strict=True)))


class Broken(Ready):
    """Fails as it is told."""

    def bind(self, known: Mapping[str, Any], named: tuple[str, ...]) -> ReceiveFn | None:
        return self.fail

    def fail(self, values: tuple[Any, ...]) -> None:
        raise ZeroDivisionError


def test_a_receiver_that_binds_gets_the_values_and_knew_all_else(sent: Signal[..., Sent]) -> None:
    """Defaults are known, what a scope decides is not; no event is built."""
    ready = sent.connect(Ready())
    emit = sent.bind("size", "weight", kind="parcel")
    emit((3, 1.5))
    emit((4, None))
    assert ready.values == [(3, 1.5), (4, None)]
    assert ready.known == {"kind": "parcel", "urgent": False, "named": ("size", "weight")}
    assert ready.events == []


def test_others_get_the_event_that_emit_would_build(sent: Signal[..., Sent]) -> None:
    emit = sent.bind("size", kind="parcel")
    with sent.captured() as seen, agent_run(agent_name="packer"):
        emit((3,))
        sent.emit(kind="parcel", size=3)
    assert seen == [Sent(kind="parcel", size=3, agent_name="packer")] * 2


def test_where_one_cannot_bind_all_get_the_event(sent: Signal[..., Sent]) -> None:
    """Whoever comes or goes is seen at the next emission."""
    ready = sent.connect(Ready())
    emit = sent.bind("size", kind="parcel")
    emit((1,))
    with sent.captured() as seen:
        emit((2,))
    emit((3,))
    unable = sent.connect(Ready(able=False))
    emit((4,))
    sent.disconnect(unable)
    sent.disconnect(ready)
    emit((5,))
    assert ready.values == [(1,), (3,)]
    assert [event.size for event in ready.events] == [2, 4]
    assert [event.size for event in seen] == [2]
    assert [event.size for event in unable.events] == [4]


def test_a_receiver_that_may_vanish_gets_the_event(sent: Signal[..., Sent]) -> None:
    ready = Ready()
    sent.connect(ready, weak=True)
    emit = sent.bind("size", kind="parcel")
    emit((1,))
    assert [event.size for event in ready.events] == [1]
    kept = ready.events
    del ready
    gc.collect()
    emit((2,))
    assert len(kept) == 1


def test_several_that_bind_are_all_told(sent: Signal[..., Sent]) -> None:
    receivers = [sent.connect(Ready()) for _ in range(3)]
    sent.bind("size", kind="parcel")((7,))
    assert [ready.values for ready in receivers] == [[(7,)]] * 3


def test_a_muted_signal_tells_nothing(sent: Signal[..., Sent]) -> None:
    ready = sent.connect(Ready())
    emit = sent.bind("size", kind="parcel")
    emit((1,))
    with sent.muted():
        emit((2,))
        sent.bind("size", kind="parcel")((3,))
    emit((4,))
    assert ready.values == [(1,), (4,)]
    assert ready.events == []


def test_each_choice_of_fields_is_bound_once(sent: Signal[..., Sent], monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as are remembered; past that, once more."""
    monkeypatch.setattr("events.bus.emitters.EmitterCache.MAX_SIZE", 2)
    choices = sent.bind_by(("kind", "urgent"), ("size",), weight=0.5)
    with sent.captured() as seen:
        choices["parcel", True]((1,))
        choices["letter", False]((2,))
        assert choices["parcel", True] is choices["parcel", True]
        choices["card", False]((3,))
    assert list(choices) == [("card", False)]
    assert seen == [
        Sent(kind="parcel", size=1, weight=0.5, urgent=True),
        Sent(kind="letter", size=2, weight=0.5),
        Sent(kind="card", size=3, weight=0.5),
    ]


@pytest.mark.parametrize(("choice", "error"), [(("parcel",), ValueError), (([], True), TypeError)])
def test_a_choice_that_does_not_fit_is_refused(
    sent: Signal[..., Sent], choice: tuple[Any, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        sent.bind_by(("kind", "urgent"), ("size",))[choice]


@pytest.mark.parametrize("receivers", [[], [Ready()], [Ready(able=False)]], ids=["unheard", "bound", "by events"])
def test_it_gives_the_scope_that_it_was_told_in(sent: Signal[..., Sent], receivers: list[Ready]) -> None:
    for receiver in receivers:
        sent.connect(receiver)
    emit = sent.bind("size", kind="parcel")
    with agent_run(agent_name="packer"):
        scope = emit((1,))
    assert scope is not None
    assert scope.kind == "agent"
    assert emit((2,)) is None


def test_it_adds_to_the_totals_of_its_scope() -> None:
    """Heard or not, bound or not."""
    emit = llm_called.bind("duration", "prompt_tokens", model="m", status="success")
    with agent_finished.captured() as finished:
        for receiver in (None, Ready(), Ready(able=False)):
            if receiver is not None:
                llm_called.connect(receiver)
            with agent_run(agent_name="copywriter"):
                emit((0.1, 5))
                emit((0.1, 6))
            if receiver is not None:
                llm_called.disconnect(receiver)
    assert [(event.llm_calls, event.prompt_tokens) for event in finished] == [(2, 11)] * 3


def test_it_adds_to_the_totals_of_a_scope_around_one_that_has_none() -> None:
    emit = llm_called.bind("duration", "prompt_tokens", model="m", status="success")
    ready = llm_called.connect(Ready())
    with (
        agent_finished.captured() as finished,
        agent_run(agent_name="copywriter"),
        use_scope(Scope({}, get_current_scope(), {}), end_on_exit=True),
    ):
        emit((0.1, 5))
    llm_called.disconnect(ready)
    assert [(event.llm_calls, event.prompt_tokens) for event in finished] == [(1, 5)]


@pytest.mark.parametrize(
    ("named", "known"),
    [
        pytest.param(("size",), {}, id="one is missing"),
        pytest.param(("size", "colour"), {"kind": "parcel"}, id="one is none of the event's"),
        pytest.param(("size", "kind"), {"kind": "parcel"}, id="one is both"),
    ],
)
def test_fields_that_do_not_fit_are_refused_at_once(
    sent: Signal[..., Sent], named: tuple[str, ...], known: dict[str, Any]
) -> None:
    with pytest.raises(TypeError, match=r"kind|colour"):
        sent.bind(*named, **known)


@pytest.mark.lenient
class TestNothingReachesTheSender:
    """And nothing hides: it is told as `receiver_failed`."""

    def test_of_ways_that_fail(self, sent: Signal[..., Sent]) -> None:
        """Alone or among others, which do not starve."""
        emit = sent.bind("size", kind="parcel")
        with receiver_failed.captured() as failures:
            sent.connect(Broken())
            emit((1,))
            ready = sent.connect(Ready())
            emit((2,))
        assert failures == [ReceiverFailed(signal="sent", receiver="Broken", error="ZeroDivisionError")] * 2
        assert ready.values == [(2,)]

    def test_of_one_that_fails_to_bind(self, sent: Signal[..., Sent]) -> None:
        """It is told events instead, and so are the others."""

        class Unbound(Ready):
            def bind(self, known: Mapping[str, Any], named: tuple[str, ...]) -> ReceiveFn | None:
                raise ZeroDivisionError

        receivers = [sent.connect(Ready()), sent.connect(Unbound())]
        emit = sent.bind("size", kind="parcel")
        with receiver_failed.captured() as failures:
            emit((1,))
            emit((2,))
        assert [[event.size for event in each.events] for each in receivers] == [[1, 2]] * 2
        assert [failure.error for failure in failures] == ["ZeroDivisionError"]

    @pytest.mark.parametrize("values", [(), (1, 2), None])
    def test_of_values_that_are_not_those_named(self, sent: Signal[..., Sent], values: Any) -> None:
        with sent.captured() as seen, receiver_failed.captured() as failures:
            sent.bind("size", kind="parcel")(values)
        assert seen == []
        assert [failure.receiver for failure in failures] == ["emit"]

    @pytest.mark.parametrize("values", [(), (1, 2), None])
    def test_of_such_values_inside_a_scope(self, sent: Signal[..., Sent], values: Any) -> None:
        ready = sent.connect(Ready())
        with agent_run(agent_name="packer"), receiver_failed.captured() as failures:
            sent.bind("size", kind="parcel")(values)
        assert ready.values == []
        assert [failure.receiver for failure in failures] == ["Ready"]

    @pytest.mark.parametrize("values", [(), (1, 2), None])
    @pytest.mark.parametrize(("receivers", "named"), [(0, "emit"), (1, "Ready"), (2, "emit")])
    def test_of_such_values_inside_a_scope_that_adds_them_up(self, values: Any, receivers: int, named: str) -> None:
        told = [Ready() for _ in range(receivers)]
        for ready in told:
            llm_called.connect(ready)
        with agent_run(agent_name="packer"), receiver_failed.captured() as failures:
            llm_called.bind("duration", model="m", status="success")(values)
        for ready in told:
            llm_called.disconnect(ready)
        assert [ready.values for ready in told] == [[]] * receivers
        assert [failure.receiver for failure in failures] == [named]
