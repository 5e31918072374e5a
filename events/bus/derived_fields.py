"""Fields that are derived from others of their event: properties whose sources are known by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

T = TypeVar("T")


class derived(property, Generic[T]):  # noqa: N801  # used like `property`
    """A property that is computed from other fields of its event, those that its parameters are called as.

    What it returns depends on them alone, so metrics compute it where no event is built, and only where it may change.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True, slots=True, kw_only=True)
    ... class FileSent:
    ...     size: int
    ...     duration: float
    ...     @derived
    ...     @staticmethod
    ...     def rate(size: int, duration: float) -> float:
    ...         return size / duration
    >>> FileSent(size=100, duration=0.5).rate
    200.0

    Attributes:
        function: Takes the values of the fields, in the order of ``sources``.
        sources: The names of the fields.
    """

    function: Callable[..., T]
    sources: tuple[str, ...]

    def __init__(self, function: Callable[..., T]) -> None:
        function = getattr(function, "__func__", function)  # of a static method
        sources = (*signature(function).parameters,)
        read = attrgetter(*sources)
        is_single = len(sources) == 1

        @wraps(function)
        def compute(event: Any) -> T:
            return function(read(event)) if is_single else function(*read(event))

        super().__init__(compute)
        self.function = function
        self.sources = sources

    if TYPE_CHECKING:

        def __get__(self, event: Any, owner: type[Any] | None = None) -> T: ...  # type: ignore[override]
