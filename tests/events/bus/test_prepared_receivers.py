"""Receivers that are prepared for the names of fields are called without an event, and see no difference."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from blinker import Namespace

from events import agent_run, inherited, receiver_failed, strict
from events.bus.emitters import BindableReceiver, ReceiveFn
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
        self.views: list[Any] = []
        self.names: list[tuple[str, ...]] = []

    def __call__(self, event: Any) -> None:
        self.events.append(event)

    def bind(self, fixed: Mapping[str, Any], variable: tuple[str, ...]) -> ReceiveFn | None:
        return None

    def prepare(self, names: Collection[str]) -> Callable[[Any], None] | None:
        self.names.append((*names,))
        return self.views.append if self.able else None


def test_once_the_receivers_are_known_they_get_the_fields_without_an_event(packed: Signal[..., Packed]) -> None:
    """What is not set is inherited, or has its default; properties are there, and so is what takes an event."""
    shelf = packed.connect(Shelf())
    packed.emit(kind="box")
    with agent_run(agent_name="packer"):
        packed.emit(kind="box", weight=2.5)
    [view] = shelf.views
    assert (view.kind, view.size, view.weight, view.agent_name, view.is_heavy) == ("box", 1, 2.5, "packer", True)
    assert shelf.names == [("kind", "weight", "agent_name")]
    assert isinstance(view, Packed)
    assert type(view) is not Packed
    assert replace(view, size=3).size == 3
    assert shelf.events == [Packed(kind="box")]


def test_names_are_prepared_for_once(packed: Signal[..., Packed]) -> None:
    shelf = packed.connect(Shelf())
    for size in range(4):
        packed.emit(kind="box", size=size)
        packed.emit(kind="bag")
    assert shelf.names == [("kind",), ("kind", "size")]
    assert [view.size for view in shelf.views] == [1, 1, 1, 2, 1, 3, 1]


def test_everybody_gets_the_event_where_one_receiver_takes_nothing_else(packed: Signal[..., Packed]) -> None:
    shelf, able = packed.connect(Shelf(able=False)), packed.connect(Shelf())
    for _ in range(3):
        packed.emit(kind="box")
    assert shelf.events == able.events == [Packed(kind="box")] * 3
    packed.disconnect(shelf)
    with packed.captured() as seen:
        for _ in range(2):
            packed.emit(kind="bag")
    assert able.events[3:] == seen == [Packed(kind="bag")] * 2
    assert able.views == []


@pytest.mark.lenient
def test_fields_that_do_not_fit_are_reported_each_time(packed: Signal[..., Packed]) -> None:
    shelf = packed.connect(Shelf())
    with receiver_failed.captured() as failures:
        for _ in range(3):
            packed.emit(size=1)
            packed.emit(kind="box", colour="red")
    assert [failure.error for failure in failures] == ["TypeError"] * 6
    assert shelf.views == []


@pytest.mark.lenient
def test_a_prepared_receiver_that_fails_starves_no_other(packed: Signal[..., Packed]) -> None:
    class Broken(Shelf):
        def prepare(self, names: Collection[str]) -> Callable[[Any], None] | None:
            return fail

    packed.connect(Broken())
    shelf = packed.connect(Shelf())
    with receiver_failed.captured() as failures:
        for _ in range(3):
            packed.emit(kind="box")
    assert [(failure.receiver, failure.error) for failure in failures] == [
        (Broken.__qualname__, "ZeroDivisionError")
    ] * 2
    assert len(shelf.views) == 2


@pytest.mark.lenient
def test_a_receiver_that_cannot_prepare_is_reported_and_gets_the_event(packed: Signal[..., Packed]) -> None:
    class Unable(Shelf):
        def prepare(self, names: Collection[str]) -> Callable[[Any], None] | None:
            raise ZeroDivisionError

    unable = packed.connect(Unable())
    with receiver_failed.captured() as failures:
        for _ in range(3):
            packed.emit(kind="box")
    assert len(failures) == 1
    assert unable.events == [Packed(kind="box")] * 3


def test_a_strict_block_checks_the_fields_and_raises_what_a_receiver_raises(packed: Signal[..., Packed]) -> None:
    class Broken(Shelf):
        def prepare(self, names: Collection[str]) -> Callable[[Any], None] | None:
            return fail

    packed.connect(Broken())
    packed.emit(kind="box")
    with strict(), pytest.raises(ZeroDivisionError):
        packed.emit(kind="box")
    with strict(), pytest.raises(ValueError, match="urgent='maybe' is not one of"):
        packed.emit(kind="box", urgent="maybe")


def test_ever_new_sets_of_names_are_not_held() -> None:
    shelf = Shelf()
    prepared = PreparedReceivers("packed", Packed, [shelf])
    for number in range(PreparedReceivers.MAX_SIZE + 5):
        assert prepared[f"unknown_{number}",] is None
    assert len(prepared) == PreparedReceivers.MAX_SIZE
    assert prepared["kind",] is None  # the event is built


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
    assert shelf.views == []
