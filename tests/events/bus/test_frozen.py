"""Events are filled plainly and frozen after; nobody can tell."""

import pickle
import re
from dataclasses import FrozenInstanceError, dataclass, field, fields
from typing import Any

import pytest
from blinker import Namespace

import events
from events.bus.frozen import mutable_twin
from events.bus.signal import Signal

OURS = sorted(
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


@dataclass(frozen=True, kw_only=True)
class Dictionaried:
    """Something without slots happened."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Something that looks at itself happened."""

    name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name.upper())


@dataclass(frozen=True, slots=True, kw_only=True)
class Inheriting(Plain):
    """Something more than plain happened."""

    more: int = 1


@dataclass(frozen=True, slots=True, kw_only=True, init=False)
class SelfMade:
    """Something that fills itself happened."""

    name: str

    def __init__(self, *, name: str) -> None:
        object.__setattr__(self, "name", name + "!")


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class Referable:
    """Something that takes weak references happened."""

    name: str


@pytest.mark.parametrize("event", [Plain, Dictionaried, Checked, Inheriting, SelfMade, Referable])
def test_an_emitted_event_is_the_one_that_its_class_makes(event: type[Any]) -> None:
    """Same class, same fields, equal, and as frozen, whatever the class does when an event is made."""
    signal: Signal[..., Any] = Signal(event, Namespace())
    with signal.captured() as seen:
        signal.emit(name="n")
    assert type(seen[0]) is event
    assert seen == [event(name="n")]
    with pytest.raises(FrozenInstanceError):
        seen[0].name = "other"


@pytest.mark.parametrize("event", [Checked, Inheriting, SelfMade])
def test_a_class_that_does_more_than_fill_its_fields_makes_its_events_itself(event: type[Any]) -> None:
    """There is no short way around a check of its own."""
    assert mutable_twin(event) is None


@pytest.mark.parametrize("signal", OURS, ids=lambda signal: str(signal.name))
def test_every_event_of_ours_that_only_has_fields_is_made_the_fast_way(signal: Signal[..., Any]) -> None:
    """One made so can be compared, hashed and pickled like any other."""
    event: Any = signal.event
    twin = mutable_twin(event)
    assert twin is not None
    values = {each.name: "x" for each in fields(event)}
    made = twin(**values)
    made.__class__ = event
    assert made == event(**values)
    assert hash(made) == hash(event(**values))
    assert pickle.loads(pickle.dumps(made)) == made
    assert repr(made) == repr(event(**values))


@pytest.mark.parametrize("unfit", [{}, {"name": "n", "nmae": "n"}])
def test_fields_that_do_not_fit_are_named_as_python_names_them(unfit: dict[str, Any]) -> None:
    """The message is the one of the event's own constructor."""
    with pytest.raises(TypeError) as told:
        Plain(**unfit)
    signal = Signal(Plain, Namespace())
    with events.strict(), pytest.raises(TypeError, match=re.escape(str(told.value))):
        signal.emit(**unfit)
