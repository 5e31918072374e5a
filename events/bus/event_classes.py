"""Looks into the classes of events: whether they can be shared by receivers, how their signals are named."""

from __future__ import annotations

import os.path
import re
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
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
    """Return whether a class takes the place of an earlier one: one source has both by the same qualified name.

    So it is where a cell of a notebook runs again, or a module is reloaded; and where one file is run under two names,
    as when ``python main.py`` is ``__main__`` and has a server import ``main``.
    """
    if event.__qualname__ != earlier.__qualname__:
        return False
    return event.__module__ == earlier.__module__ or source_of(event) == source_of(earlier)


def source_of(declared: type[Any]) -> str:
    """Return the file of the module that a class is declared in, or the module's name where it has none."""
    file = getattr(sys.modules.get(declared.__module__), "__file__", None)
    return real_path(file) if file else declared.__module__


real_path = cache(os.path.realpath)
"""Cached, since it asks the file system, and the values of enums are compared by it."""


def clash_advice(event: Any, earlier: Any) -> str:
    """Return what to do about a class whose signal has the name of another class's: why they clash, and the way out."""
    library = __name__.removesuffix("bus.event_classes")
    if earlier.__module__.startswith(library):
        return f"the name is the library's own: rename {event.__qualname__}"
    return (
        "rename one of the classes; if they are one class, import its module from one place and under one name only;"
        f" if both names have to stay, keep one apart as Signal({event.__qualname__}, blinker.Namespace())"
    )


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
        return f"{source_of(hint)}:{hint.__qualname__}({members})"
    if isinstance(hint, type) and not get_args(hint) and hint.__module__ != "builtins":
        return f"{source_of(hint)}:{hint.__qualname__}"
    if arguments := get_args(hint):
        return f"{get_origin(hint)!r}[{', '.join(map(describe_type, arguments))}]"
    return repr(hint)
