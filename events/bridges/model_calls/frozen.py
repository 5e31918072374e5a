"""Makes frozen dataclasses where each microsecond counts: once for each call to a model."""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T")


def make_frozen(cls: type[T], fields: dict[str, Any]) -> T:
    """Return an object of a frozen dataclass without slots; its own way of setting each field takes four times as long.

    Args:
        cls: The dataclass. What is not among the fields has its default by the class, so none may be made by a factory.
        fields: The fields by name.
    """
    made = object.__new__(cls)
    made.__dict__.update(fields)
    return made
