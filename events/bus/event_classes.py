"""Looks into the classes of events: whether they can be shared by receivers, how their signals are named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, get_args, get_origin

from .fields import field_types


def attributes_of(event: Any) -> dict[str, Any]:
    """Return the values of an event's fields by name."""
    return {field.name: getattr(event, field.name) for field in fields(event)}


def check_event_class(event: Any) -> None:
    """Raise TypeError unless a class is a frozen dataclass, for receivers share it, with keyword-only fields."""
    frozen = isinstance(event, type) and is_dataclass(event) and vars(event)["__dataclass_params__"].frozen
    if not frozen or not all(field.kw_only for field in fields(event)):
        raise TypeError(f"{event!r} is no event class: make it a @dataclass(frozen=True, slots=True, kw_only=True)")


def snake_case(name: str) -> str:
    """Return a class name in snake case, as signals are named.

    >>> snake_case("LLMCalled")
    'llm_called'
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def declares_again(event: Any, earlier: Any) -> bool:
    """Return whether a class takes the place of an earlier one: one module has both by the same qualified name.

    So it is where a cell of a notebook runs again, or a module is reloaded.
    """
    return (event.__module__, event.__qualname__) == (earlier.__module__, earlier.__qualname__)


def is_equivalent(event: Any, earlier: Any) -> bool:
    """Return whether a class is the one that was declared earlier, or declares it again with the same fields."""
    return event is earlier or (
        is_dataclass(event) and declares_again(event, earlier) and not changed_fields(event, earlier)
    )


def changed_fields(event: Any, earlier: Any) -> list[str]:
    """Return the names of the fields that only one of two classes of events has, or that they declare otherwise."""
    now, before = declared_fields(event), declared_fields(earlier)
    return [name for name in {**before, **now} if now.get(name) != before.get(name)]


def declared_fields(event: Any) -> Mapping[str, tuple[object, ...]]:
    """Return how each field of an event's class is declared: its type as text, its default and its role."""
    try:
        types = field_types(event)
    except Exception:  # whatever evaluating a text may raise: as for a class inside of a function
        types = {}
    return {
        each.name: (
            describe_type(types.get(each.name, each.type)),
            repr(each.default),
            getattr(each.default_factory, "__qualname__", repr(each.default_factory)),
            each.init,
            sorted((str(key), repr(value)) for key, value in each.metadata.items()),
        )
        for each in fields(event)
    }


def describe_type(hint: Any) -> str:
    """Return a type as text, with the members of an enum: one that is declared again is another class.

    >>> from typing import Literal
    >>> describe_type(Literal["web", "phone"])
    "typing.Literal['web', 'phone']"
    """
    if isinstance(hint, type) and issubclass(hint, Enum):
        members = ", ".join(f"{member.name}={member.value!r}" for member in hint)
        return f"{hint.__module__}.{hint.__qualname__}({members})"
    if arguments := get_args(hint):
        return f"{get_origin(hint)!r}[{', '.join(map(describe_type, arguments))}]"
    return repr(hint)
