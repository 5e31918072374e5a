"""A receiver's name, and whether its call has to be awaited, are found whatever kind of callable it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from events.bus.receivers import callable_name, is_async


def plain(event: object) -> None: ...


async def coroutine(event: object) -> None: ...


async def stream(event: object) -> AsyncIterator[object]:
    yield event


class Plain:
    """An object that is called at once."""

    def __call__(self, event: object) -> None: ...

    def method(self, event: object) -> None: ...

    async def async_method(self, event: object) -> None: ...


class Async:
    """An object whose call has to be awaited."""

    async def __call__(self, event: object) -> None: ...


CALLABLES: list[tuple[Callable[..., Any], str, bool]] = [
    (plain, "plain", False),
    (coroutine, "coroutine", True),
    (stream, "stream", True),
    (partial(plain), "plain", False),
    (partial(partial(coroutine)), "coroutine", True),
    (Plain().method, "Plain.method", False),
    (Plain().async_method, "Plain.async_method", True),
    (Plain(), "Plain", False),
    (Async(), "Async", True),
    (partial(Async()), "Async", True),
    (Async, "Async", False),  # a call of the class builds an object, at once
    ([].append, "list.append", False),
    (len, "len", False),
]


@pytest.mark.parametrize(("receiver", "name", "asynchronous"), CALLABLES)
def test_a_callable_is_named_and_known_to_be_async_or_not(
    receiver: Callable[..., Any], name: str, asynchronous: bool
) -> None:
    assert callable_name(receiver) == name
    assert is_async(receiver) is asynchronous


def test_an_object_may_name_itself() -> None:
    """As a background listener does, after what it wraps."""
    receiver = Plain()
    receiver.__qualname__ = "audit"  # type: ignore[attr-defined]  # set at run time
    assert callable_name(receiver) == "audit"
