"""A receiver's name, and whether its call has to be awaited, are found whatever kind of callable it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial, wraps
from typing import Any, Optional, Protocol

import pytest

from events.bus.receiver_inspection import accepts, callable_name, is_async


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


class Event:
    """An event."""


class Other:
    """Another one."""


class Shaped(Protocol):
    """Any object, as far as a class says."""


def no_parameters() -> None: ...
def keywords(**fields: object) -> None: ...
def keyword_only(*, event: Other) -> None: ...
def of_event(event: Event) -> None: ...
def of_object(event: object) -> None: ...
def of_other(event: Other) -> None: ...
def of_either(event: Event | Other) -> None: ...
def of_neither(event: Other | None) -> None: ...
def of_optional(event: Optional[Event]) -> None: ...  # noqa: UP045 - as it may be written
def of_anything(event: Any) -> None: ...
def of_shape(event: Shaped) -> None: ...
def of_list(event: list[Other]) -> None: ...
def undefined(event: NoSuchClass) -> None: ...  # type: ignore[name-defined]  # noqa: F821 - as under TYPE_CHECKING


@wraps(of_other)
def wrapping(*arguments: Any) -> None: ...


@pytest.mark.parametrize(
    "receiver",
    [no_parameters, keywords, keyword_only, of_event, of_object, of_either, of_optional, of_anything, of_shape,
     of_list, undefined, wrapping, partial(of_event), len, lambda event: None],
)  # fmt: skip
def test_a_callable_accepts_an_event_unless_its_annotation_names_other_classes(receiver: Any) -> None:
    assert accepts(receiver, Event)


@pytest.mark.parametrize("receiver", [of_other, of_neither, partial(of_other)])
def test_a_callable_for_other_classes_accepts_no_event(receiver: Any) -> None:
    assert not accepts(receiver, Event)
    assert accepts(receiver, Other)
