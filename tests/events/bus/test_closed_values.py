"""In a strict block, a value outside the closed set of its field is raised where it is emitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from blinker import Namespace

import events
from events import Key, Label, Seconds, Signal, Span, Status, agent_finished, agent_run, inherited, llm_called
from events.bus.closed_values import closed_fields


class Color(Enum):
    """A set of its own."""

    RED = "red"


OUTSIDE: dict[str, list[Any]] = {
    "channel": ["wbe", "", None, 1],
    "plan": ["free", None, 1],
    "paid": ["yes", 1, 0, None],
    "size": [3, "1", True],
    "source": ["spam", 0],
    "either": [Color.RED, "d"],
}


class Plan(Enum):
    """What a customer pays for."""

    FREE = "free"
    PRO = "pro"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlaced:
    """An order was placed."""

    channel: Literal["web", "phone"] = "web"
    plan: Plan = Plan.FREE
    paid: bool = False
    size: Literal[1, 2] = 1
    source: Annotated[Literal["ad", "search"], "marked"] | None = None
    either: Plan | Literal["trial"] | None = None
    note: Literal["a"] | int = "a"
    place: Literal["web", "shop"] = inherited("web")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStarted:
    """An order began."""

    order_id: Key = ""
    place: Literal["web", "shop"] = "web"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEnded:
    """An order ended."""

    order_id: Key = ""
    place: Literal["web", "shop"] = "web"
    status: Status
    duration: Seconds
    error: str = ""
    customer: Label = ""


@pytest.fixture
def placed() -> Signal[..., OrderPlaced]:
    return Signal(OrderPlaced, Namespace())


@pytest.fixture
def order() -> Span[...]:
    names = Namespace()
    return Span(Signal(OrderStarted, names), Signal(OrderEnded, names))


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in OUTSIDE.items() for value in values])
@pytest.mark.parametrize("way", ["emit", "emit to a receiver", "send", "bind", "bound", "bind_by"])
def test_a_value_outside_its_closed_set_is_raised(
    placed: Signal[..., OrderPlaced], name: str, value: Any, way: str
) -> None:
    received: list[OrderPlaced] = []
    if way != "emit":
        placed.connect(received.append)
    emit_bound = placed.bind(name)
    emitters = placed.bind_by((name,), ())
    emit: dict[str, Callable[[], object]] = {
        "emit": lambda: placed.emit(**{name: value}),
        "emit to a receiver": lambda: placed.emit(**{name: value}),
        "send": lambda: placed.send(OrderPlaced(**{name: value})),
        "bind": lambda: placed.bind(**{name: value}),
        "bound": lambda: emit_bound((value,)),
        "bind_by": lambda: emitters[value,],
    }
    with pytest.raises(ValueError, match=rf"order_placed: {name}=.* is not one of"):
        emit[way]()
    assert received == []


def test_every_value_of_a_closed_set_passes(placed: Signal[..., OrderPlaced]) -> None:
    with placed.captured() as received:
        placed.emit(channel="phone", plan=Plan.PRO, paid=True, size=2, source="ad", either="trial", note=5)
        placed.emit(source=None, either=Plan.FREE)
        placed.bind("paid", "either")((False, None))
        placed.send(OrderPlaced())
    assert len(received) == 4


@pytest.mark.lenient
def test_without_strict_a_value_outside_is_received(placed: Signal[..., OrderPlaced]) -> None:
    """A metric counts it as `other`: totals stay exact."""
    with placed.captured() as received:
        placed.emit(channel="wbe")
        placed.bind("channel")(("wbe",))
        placed.bind(channel="wbe")(())
        placed.send(OrderPlaced(channel="wbe"))  # type: ignore[arg-type]  # as above
    assert [event.channel for event in received] == ["wbe"] * 4


@pytest.mark.lenient
def test_what_was_bound_before_is_checked_when_it_is_emitted(placed: Signal[..., OrderPlaced]) -> None:
    emit = placed.bind(channel="wbe")
    with events.strict(), pytest.raises(ValueError, match="'wbe' is not one of 'web', 'phone'"):
        emit(())


def test_spans_and_scopes_are_checked(order: Span[...], placed: Signal[..., OrderPlaced]) -> None:
    with pytest.raises(ValueError, match="order_started: place='wbe'"), order(place="wbe"):
        pass
    with pytest.raises(ValueError, match="place='wbe'"):
        order.scope(place="wbe")
    with order.finished.captured() as ended, order(place="shop") as run:
        with pytest.raises(ValueError, match="order_ended: status='succes'"):
            run.note(status="succes")
        with placed.captured() as received:
            placed.emit()
    assert [event.status for event in ended] == ["success"]
    assert [event.place for event in received] == ["shop"]


def test_the_vocabulary_is_checked() -> None:
    with pytest.raises(ValueError, match="llm_called: status='succes' is not one of 'success', 'error', 'timeout'"):
        llm_called.emit(model="m", status="succes", duration=0.1)  # type: ignore[arg-type]  # what is checked
    with pytest.raises(ValueError, match="agent_finished: status='done'"), agent_run(agent_name="a") as run:
        run.note(status="done")
    with pytest.raises(ValueError, match="error_type='whatever'"):
        agent_finished.emit(agent_name="a", status="error", duration=1.0, error_type="whatever")  # type: ignore[arg-type]  # the same


def test_a_type_that_cannot_be_found_is_not_checked_and_the_others_are() -> None:
    class Local(Enum):
        A = 1

    @dataclass(frozen=True, kw_only=True)
    class Mixed:
        local: Local = Local.A
        paid: bool = False

    assert closed_fields(Mixed).keys() == {"paid"}
