"""Looks into the classes of events: whether they can be shared by receivers, how their signals are named."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from typing import Any


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
