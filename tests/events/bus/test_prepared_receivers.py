"""Receivers that are prepared for the names of fields are called without an event, and see no difference."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from blinker import Namespace

from events import agent_run, inherited, receiver_failed, strict
from events.bus.emitters import BindableReceiver, DeliverFn, ReceiveFn
from events.bus.prepared_receivers import PreparedReceivers
from events.bus.signal import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A parcel was packed."""

    kind: str
    size: int = 1
    weight: float | None = None
    urgent: bool = False
    agent_name: str = inherited()

    @property
    def is_heavy(self) -> bool:
        """Whether it weighs more than a kilogram."""
        return self.weight is not None and self.weight > 1


@pytest.fixture(autouse=True)
def prepared_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are prepared for as soon as the receivers are known, which is after the first event."""
    monkeypatch.setattr(PreparedReceivers, "CALLS_BEFORE_PREPARING", 0)


@pytest.fixture
def packed() -> Signal[..., Packed]:
    """A signal of the test's own."""
    return Signal(Packed, Namespace())


def fail(_: Any) -> None:
    raise ZeroDivisionError


class Shelf(BindableReceiver):
    """Takes what it is called with, and what it is prepared for."""

    def __init__(self, *, able: bool = True) -> None:
        self.able = able
        self.events: list[Any] = []
        self.fields: list[dict[str, Any]] = []
        self.names: list[tuple[str, ...]] = []

    def __call__(self, event: Any) -> None:
        self.events.append(event)

    def bind(self, fixed: Mapping[str, Any], variable: tuple[str, ...]) -> ReceiveFn | None:
        return None

    def prepare(self, names: Collection[str]) -> DeliverFn | None:
        self.names.append((*names,))
        return self.take if self.able else None

    def take(self, fields: dict[str, Any]) -> None:
        assert (*fields,) in self.names
        self.fields.append({**fields})


def test_once_the_receivers_are_known_they_get_the_fields_without_an_event(packed: Signal[..., Packed]) -> None:
    """What is not set is inherited, or not there; so is what takes an event."""
    shelf = packed.connect(Shelf())
    packed.emit(kind="box")
    with agent_run(agent_name="packer"):
        packed.emit(kind="box", weight=2.5)
    assert shelf.fields == [{"kind": "box", "weight": 2.5, "agent_name": "packer"}]
    assert shelf.names == [("kind", "weight", "agent_name")]
    assert shelf.events == [Packed(kind="box")]


def test_names_are_prepared_for_once(packed: Signal[..., Packed]) -> None:
    shelf = packed.connect(Shelf())
    for size in range(4):
        packed.emit(kind="box", size=size)
        packed.emit(kind="bag")
    assert shelf.names == [("kind",), ("kind", "size")]
    assert [fields.get("size", 1) for fields in shelf.fields] == [1, 1, 1, 2, 1, 3, 1]


def test_names_that_come_seldom_are_not_prepared_for(
    packed: Signal[..., Packed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PreparedReceivers, "CALLS_BEFORE_PREPARING", 2)
    shelf = packed.connect(Shelf())
    for _ in range(5):
        packed.emit(kind="box")
    packed.emit(kind="box", size=2)
    assert shelf.names == [("kind",)]
    assert (len(shelf.events), len(shelf.fields)) == (4, 2)


def test_who_takes_nothing_else_gets_the_event_and_others_the_fields(packed: Signal[..., Packed]) -> None:
    shelf, able = packed.connect(Shelf(able=False)), packed.connect(Shelf())
    for _ in range(3):
        packed.emit(kind="box")
    assert shelf.events == [Packed(kind="box")] * 3
    assert [*able.events, *(Packed(**fields) for fields in able.fields)] == shelf.events
    packed.disconnect(shelf)
    with packed.captured() as seen:
        for _ in range(2):
            packed.emit(kind="bag", weight=1.5)
    assert seen == [Packed(kind="bag", weight=1.5)] * 2
    assert [type(event) for event in seen] == [Packed, Packed]
    assert able.fields[-1] == {"kind": "bag", "weight": 1.5}


def test_receivers_are_called_in_the_order_that_they_had_before(packed: Signal[..., Packed]) -> None:
    called: list[str] = []

    class Named(Shelf):
        def __call__(self, event: Any) -> None:
            called.append("prepared")

        def prepare(self, names: Collection[str]) -> DeliverFn | None:
            return self

    packed.connect(lambda _: called.append("first"))
    packed.connect(Named())
    packed.connect(lambda _: called.append("last"))
    for _ in range(3):
        packed.emit(kind="box")
    assert sorted(called[:3]) == ["first", "last", "prepared"]
    assert called == called[:3] * 3


@pytest.mark.lenient
def test_a_receiver_that_returns_what_has_to_be_awaited_is_a_failure(packed: Signal[..., Packed]) -> None:
    async def later() -> None: ...

    packed.connect(lambda _: later())
    with receiver_failed.captured() as failures:
        for _ in range(3):
            packed.emit(kind="box")
    assert [failure.error for failure in failures] == ["TypeError"] * 3


@pytest.mark.lenient
def test_fields_that_do_not_fit_are_reported_each_time(packed: Signal[..., Packed]) -> None:
    shelf = packed.connect(Shelf())
    with receiver_failed.captured() as failures:
        for _ in range(3):
            packed.emit(size=1)
            packed.emit(kind="box", colour="red")
    assert [failure.error for failure in failures] == ["TypeError"] * 6
    assert shelf.fields == []


@pytest.mark.lenient
def test_a_prepared_receiver_that_fails_starves_no_other(packed: Signal[..., Packed]) -> None:
    class Broken(Shelf):
        def prepare(self, names: Collection[str]) -> DeliverFn | None:
            return fail

    packed.connect(Broken())
    shelf = packed.connect(Shelf())
    with receiver_failed.captured() as failures:
        for _ in range(3):
            packed.emit(kind="box")
    assert [(failure.receiver, failure.error) for failure in failures] == [
        (Broken.__qualname__, "ZeroDivisionError")
    ] * 2
    assert len(shelf.fields) == 2


@pytest.mark.lenient
def test_a_receiver_that_cannot_prepare_is_reported_and_gets_the_event(packed: Signal[..., Packed]) -> None:
    class Unable(Shelf):
        def prepare(self, names: Collection[str]) -> DeliverFn | None:
            raise ZeroDivisionError

    unable = packed.connect(Unable())
    with receiver_failed.captured() as failures:
        for _ in range(3):
            packed.emit(kind="box")
    assert len(failures) == 1
    assert unable.events == [Packed(kind="box")] * 3


def test_a_strict_block_checks_the_fields_and_raises_what_a_receiver_raises(packed: Signal[..., Packed]) -> None:
    class Broken(Shelf):
        def prepare(self, names: Collection[str]) -> DeliverFn | None:
            return fail

    packed.connect(Broken())
    packed.emit(kind="box")
    with strict(), pytest.raises(ZeroDivisionError):
        packed.emit(kind="box")
    with strict(), pytest.raises(ValueError, match="urgent='maybe' is not one of"):
        packed.emit(kind="box", urgent="maybe")


def test_ever_new_sets_of_names_are_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PreparedReceivers, "CALLS_BEFORE_PREPARING", 1)
    prepared = PreparedReceivers("packed", Packed, (Shelf(),))
    for number in range(PreparedReceivers.MAX_SIZE + 5):
        for _ in range(3):
            assert prepared[f"unknown_{number}",] is None
    assert len(prepared) == PreparedReceivers.MAX_SIZE
    assert [prepared["kind",] for _ in range(3)] == [None] * 3  # the event is built


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """An event that completes itself."""

    weight: float
    rounded: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "rounded", round(self.weight))


def test_an_event_that_completes_itself_is_built() -> None:
    weighed: Signal[..., Weighed] = Signal(Weighed, Namespace())
    shelf = weighed.connect(Shelf())
    for _ in range(2):
        weighed.emit(weight=1.7)
    assert [event.rounded for event in shelf.events] == [2, 2]
    assert [type(event) for event in shelf.events] == [Weighed, Weighed]
    assert shelf.fields == []


def test_names_are_prepared_for_later_where_the_stack_has_no_room(
    packed: Signal[..., Packed], monkeypatch: pytest.MonkeyPatch
) -> None:
    def overflow(*_: Any) -> None:
        raise RecursionError

    shelf = packed.connect(Shelf())
    packed.emit(kind="box")
    with monkeypatch.context() as stack:
        stack.setattr(PreparedReceivers, "_prepare", overflow)
        packed.emit(kind="box")
    packed.emit(kind="box")
    assert (len(shelf.events), len(shelf.fields)) == (2, 1)


@dataclass(frozen=True, kw_only=True)
class Posted:
    """An event whose class has no slots."""

    kind: str
    weight: float | None = None


def test_an_event_without_slots_is_prepared_for_as_well() -> None:
    posted: Signal[..., Posted] = Signal(Posted, Namespace())
    shelf = posted.connect(Shelf())
    for _ in range(3):
        posted.emit(kind="box")
    assert shelf.fields == [{"kind": "box"}] * 2
    with posted.captured() as seen:
        for _ in range(3):
            posted.emit(kind="bag", weight=1.5)
    assert seen == [Posted(kind="bag", weight=1.5)] * 3
    assert shelf.fields[2:] == [{"kind": "bag", "weight": 1.5}] * 2
