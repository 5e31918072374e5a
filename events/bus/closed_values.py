"""The closed sets of values that fields may have: what `strict` holds events to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from .event_classes import source_of

IsMember = Callable[[Any], bool]
"""Returns whether a value belongs to a closed set."""


def check_closed_values(signal: str, event: Callable[..., Any], values: Mapping[str, Any]) -> None:
    """Raise ValueError if a field has a value outside its closed set: that of its ``Literal``, its enum or ``bool``.

    Args:
        signal: The name to mention.
        event: The event's class.
        values: The fields to check, by name; others than those with a closed set may have any value.
    """
    for name, (is_member, description) in closed_fields(event).items():
        if name in values and not is_member(values[name]):
            raise ValueError(f"{signal}: {name}={values[name]!r} is not one of {description}")


@cache
def closed_fields(event: Callable[..., Any]) -> dict[str, tuple[IsMember, str]]:
    """Return for each field of an event class that has a closed set: who belongs to it, and its values as text."""
    found = {}
    for name, hint in field_hints(event).items():
        members = closed_members(hint)
        if members is not None:
            found[name] = membership(members), ", ".join(map(describe, members))
    return found


def field_hints(event: Any) -> dict[str, Any]:
    """Return the types of an event's fields; without those whose annotation names what is not at module level."""
    try:
        return get_type_hints(event)
    except Exception:  # whatever evaluating a text may raise: a class inside a function is not to be found by its name
        found: dict[str, Any] = {}
        for name, hint in getattr(event, "__annotations__", {}).items():
            alone = type("Alone", (), {"__annotations__": {name: hint}, "__module__": event.__module__})
            try:
                found.update(get_type_hints(alone))
            except Exception:  # noqa: S112  # the same
                continue
        return found


def closed_members(hint: Any) -> list[Any] | None:
    """Return the members of a closed set, an enum and NoneType as classes; None where a type is not closed.

    >>> closed_members(Literal["web", "phone"] | None)
    ['web', 'phone', <class 'NoneType'>]
    >>> closed_members(str)
    """
    hint = getattr(hint, "__value__", hint)  # of a ``type`` statement
    origin = get_origin(hint)
    if origin is Annotated:
        return closed_members(get_args(hint)[0])
    if origin is Literal:
        return list(get_args(hint))
    if origin in (Union, UnionType):
        parts = [closed_members(part) for part in get_args(hint)]
        return None if None in parts else [member for part in parts for member in part or ()]
    if hint in (bool, NoneType) or (isinstance(hint, type) and issubclass(hint, Enum)):
        return [hint]
    return None


def membership(members: list[Any]) -> IsMember:
    """Return a function that says whether a value is one of the members, or of a class among them.

    The type counts too: ``1`` is no ``True``, though they are equal. A member of an enum that was declared again since,
    as when its module was reloaded or its file run under another name, is one of the newer enum that has it too.
    """
    classes = tuple(member for member in members if isinstance(member, type))
    literals = [member for member in members if not isinstance(member, type)]
    named = {value_names(each) for cls in classes if issubclass(cls, Enum) for each in cls}

    def is_member(value: Any) -> bool:
        if isinstance(value, classes) or (isinstance(value, Enum) and value_names(value) in named):
            return True
        return any(literal == value and isinstance(literal, bool) == isinstance(value, bool) for literal in literals)

    return is_member


def value_names(member: Enum) -> tuple[str, str, str]:
    """Return the names of an enum's member: its own, and its class's and its file's, which another one may have too."""
    return source_of(type(member)), type(member).__qualname__, member.name


def describe(member: Any) -> str:
    """Return a member of a closed set as text: an enum by its members, another class by its name."""
    if member is NoneType:
        return "None"
    if isinstance(member, type) and issubclass(member, Enum):
        return ", ".join(map(str, member))
    return member.__name__ if isinstance(member, type) else repr(member)
