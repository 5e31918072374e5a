"""The fields of an event, as rows see them: closed and open labels, measures, pairing keys, labels as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints
from weakref import WeakKeyDictionary

from events import Signal
from events.bus import fields
from events.bus.closed_values import value_names
from events.bus.fields import PairingKey

AnySignal = Signal[..., Any]

_known_types: WeakKeyDictionary[Callable[..., Any], Mapping[str, Any]] = WeakKeyDictionary()


def field_types(signal: AnySignal) -> Mapping[str, Any]:
    """Return the type of each field of a signal's event, by name, with its annotations.

    A property is a field too: one that is derived from others, of the type that it returns.
    """
    event = signal.event
    types = _known_types.get(event)
    if types is None:
        types = _known_types[event] = {**fields.field_types(event), **property_types(event)}
    return types


def property_types(event: Callable[..., Any]) -> dict[str, Any]:
    """Return the type that each property of an event class returns, by name, where it says so."""
    hints = {
        name: get_type_hints(member.fget, include_extras=True)
        for name, member in vars(event).items()
        if isinstance(member, property)
    }
    return {name: types["return"] for name, types in hints.items() if "return" in types}


def find_annotation(field_type: Any, kind: type[Any]) -> Any:
    """Return the annotation of this kind (such as `events.bus.fields.Measure`) in a field's type, or None.

    It is found in ``Seconds | None`` as well as in ``Seconds``.
    """
    for part in (field_type, *get_args(field_type)):
        for annotation in getattr(part, "__metadata__", ()):
            if isinstance(annotation, kind):
                return annotation
    return None


def is_integer(field_type: Any) -> bool:
    """Return whether a field is declared as an integer, or one of several types, such as ``Tokens | None``."""
    return any(getattr(part, "__origin__", part) is int for part in (field_type, *get_args(field_type)))


def pairing_field(signal: AnySignal) -> str:
    """Return the name of the field that pairs a start with its end.

    Raises:
        TypeError: the event has none.
    """
    for name, field_type in field_types(signal).items():
        if find_annotation(field_type, PairingKey):
            return name
    raise TypeError(f"{signal.name} has no Key field to pair a start with its end")


def possible_values(field_type: Any) -> tuple[str, ...] | None:
    """Return every value of a closed label as text, also of one that may be None; None if the type is not closed."""
    if NoneType in (parts := get_args(field_type)):
        (field_type,) = parts[:1] if len(parts) == 2 else (None,)
    if get_origin(field_type) is Literal:
        return tuple(label_text(value) for value in get_args(field_type))
    if isinstance(field_type, type) and issubclass(field_type, Enum):
        return tuple(label_text(member) for member in field_type)
    if field_type is bool:
        return ("false", "true")
    return None


def label_text(value: object) -> str:
    """Return a field's value as the text of a label; None and the empty string are ``unknown``."""
    if isinstance(value, str) and not isinstance(value, Enum):
        text = value if type(value) is str else str.__str__(value)  # a subclass may hash and compare as it likes
        return text or "unknown"
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return label_text(value.value)
    return str(value)


def is_wanted(value: object, wanted: object) -> bool:
    """Return whether a field has a value that a row wants; a member of an enum that was declared again is the same."""
    return value == wanted or (
        isinstance(value, Enum) and isinstance(wanted, Enum) and value_names(value) == value_names(wanted)
    )
