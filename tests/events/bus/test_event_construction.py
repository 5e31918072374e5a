"""Events are filled as mutable objects and frozen after, which makes no difference to anybody."""

import pickle
import re
from dataclasses import FrozenInstanceError, dataclass, field, fields
from typing import Any, Self

import pytest
from blinker import Namespace

import events
from events import AgentFinished, agent_finished
from events.bus.event_construction import construct_function, construct_function_for, mutable_twin
from events.bus.prepared_receivers import PreparedReceivers
from events.bus.signal import Signal

SIMPLE_SIGNALS = sorted(
    (
        signal
        for signal in vars(events).values()
        if isinstance(signal, Signal) and not hasattr(signal.event, "__post_init__")
    ),
    key=lambda signal: signal.name,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """Something plain happened."""

    name: str
    parts: list[str] = field(default_factory=list)
    size: int = field(default=3, init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WithParts:
    """Something whose default is another for each event happened."""

    name: str
    parts: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class WithoutSlots:
    """Something without slots happened."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WithPostInit:
    """Something that changes its own field happened."""

    name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name.upper())


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived(Plain):
    """Something more than plain happened."""

    more: int = 1


@dataclass(frozen=True, slots=True, kw_only=True, init=False)
class OwnInit:
    """Something with a constructor of its own happened."""

    name: str

    def __init__(self, *, name: str) -> None:
        object.__setattr__(self, "name", name + "!")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnNew:
    """Something that is counted as it is built happened."""

    name: str

    def __new__(cls, **_: object) -> Self:
        return object.__new__(cls)


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class WeakReferable:
    """Something that takes weak references happened."""

    name: str


EVENTS = [Plain, WithParts, WithoutSlots, WithPostInit, Derived, OwnInit, OwnNew, WeakReferable]


@pytest.mark.parametrize("event", EVENTS)
def test_an_emitted_event_equals_the_one_that_its_class_builds(event: type[Any]) -> None:
    """Same class, same fields, equal, and as frozen, whatever the class does when an event is built."""
    signal: Signal[..., Any] = Signal(event, Namespace())
    with signal.captured() as seen:
        signal.emit(name="n")
    assert type(seen[0]) is event
    assert seen == [event(name="n")]
    with pytest.raises(FrozenInstanceError):
        seen[0].name = "other"


@pytest.mark.parametrize("event", EVENTS)
def test_so_does_one_of_receivers_that_are_prepared_for_its_fields(
    event: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no two events share a default that can be changed."""
    monkeypatch.setattr(PreparedReceivers, "CALLS_BEFORE_PREPARING", 0)
    signal: Signal[..., Any] = Signal(event, Namespace())
    with signal.captured() as seen:
        for _ in range(3):
            signal.emit(name="n")
    assert seen == [event(name="n")] * 3
    assert {type(each) for each in seen} == {event}
    parts = [each.parts for each in seen if hasattr(each, "parts")]
    assert len({*map(id, parts)}) == len(parts)


@pytest.mark.parametrize("event", [WithPostInit, Derived, OwnInit, OwnNew])
def test_a_class_that_does_more_than_set_its_fields_has_no_mutable_twin(event: type[Any]) -> None:
    """A check of its own must not be skipped."""
    assert mutable_twin(event) is None


@pytest.mark.parametrize("signal", SIMPLE_SIGNALS, ids=lambda signal: str(signal.name))
def test_every_event_that_only_has_fields_has_a_mutable_twin(signal: Signal[..., Any]) -> None:
    """An event built with it can be compared, hashed and pickled like any other."""
    event: Any = signal.event
    twin = mutable_twin(event)
    assert twin is not None
    values = {each.name: "x" for each in fields(event)}
    instance = twin(**values)
    instance.__class__ = event
    assert instance == event(**values)
    assert hash(instance) == hash(event(**values))
    assert pickle.loads(pickle.dumps(instance)) == instance
    assert repr(instance) == repr(event(**values))


@pytest.mark.parametrize("unfit", [{}, {"name": "n", "nmae": "n"}])
def test_fields_that_do_not_fit_are_named_as_python_names_them(unfit: dict[str, Any]) -> None:
    """The message is the one of the event's own constructor."""
    with pytest.raises(TypeError) as raised:
        Plain(**unfit)
    signal = Signal(Plain, Namespace())
    with events.strict(), pytest.raises(TypeError, match=re.escape(str(raised.value))):
        signal.emit(**unfit)


def test_an_event_that_completes_itself_is_built_as_its_class_builds_it() -> None:
    values: dict[str, Any] = {"agent_name": "a", "status": "timeout", "duration": 1.0, "prompt_tokens": 5}
    with agent_finished.captured() as received:
        agent_finished.emit(**values)
    assert received == [AgentFinished(**values)]
    assert (received[0].error_type, received[0].own_prompt_tokens) == ("timeout", 5)
    assert construct_function(AgentFinished) is not AgentFinished


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        (WithoutSlots, {"name": "n"}),
        (AgentFinished, {"agent_name": "a", "status": "timeout", "duration": 1.0, "prompt_tokens": 5}),
    ],
)
def test_a_function_builds_events_of_certain_fields_as_their_class_does(event: Any, fields: dict[str, Any]) -> None:
    construct = construct_function_for(event, (*fields,))
    assert construct is not None
    assert construct(fields) == event(**fields)


@pytest.mark.parametrize(
    ("event", "names"),
    [(WithoutSlots, ()), (WithoutSlots, ("name", "size")), (WithParts, ("name",)), (OwnInit, ("name",))],
)
def test_there_is_none_where_fields_do_not_fit_or_only_the_class_can_build_it(
    event: Any, names: tuple[str, ...]
) -> None:
    assert construct_function_for(event, names) is None
