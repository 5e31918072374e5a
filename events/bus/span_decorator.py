"""Wraps each of the four kinds of function so that every call is a span."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager
from functools import partial, wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import Any, Protocol, Self, TypeVar, cast

from .receiver_inspection import called_function

F = TypeVar("F", bound=Callable[..., Any])


class CallSpan(AbstractContextManager[Any], Protocol):
    """The part of a span that a wrapped call uses: a ``with`` block, or a start, steps and an end."""

    def start(self) -> None: ...
    def step(self) -> AbstractContextManager[None]: ...
    def end(self, error: BaseException | None) -> None: ...
    def __enter__(self) -> Self: ...


def wrap_calls(make_span: Callable[[], CallSpan]) -> Callable[[F], F]:
    """Return a decorator that runs each call of a function in a span of its own, made by ``make_span``."""

    def decorate(function: F) -> F:
        kind = called_function(function)
        if isasyncgenfunction(kind):
            call: Any = wrap_async_generator(function, make_span)
        elif isgeneratorfunction(kind):
            call = wrap_generator(function, make_span)
        elif iscoroutinefunction(kind):
            call = wrap_coroutine(function, make_span)
        else:
            call = wrap_function(function, make_span)
        return cast(F, wraps(function)(call))

    return decorate


def wrap_function(function: Callable[..., Any], make_span: Callable[[], CallSpan]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with make_span():
            return function(*args, **kwargs)

    return call


def wrap_coroutine(function: Callable[..., Any], make_span: Callable[[], CallSpan]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        with make_span():
            return await function(*args, **kwargs)

    return call


# A generator shares its caller's context. So a span is current only while a step runs, never across a yield: else what
# the caller does between two items would count as done inside. The loops are PEP 380's `yield from`, step by step.


def wrap_generator(function: Callable[..., Any], make_span: Callable[[], CallSpan]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        span = make_span()
        span.start()
        try:
            items = function(*args, **kwargs)
            resume: Callable[[], Any] = partial(next, items)
            while True:
                try:
                    with span.step():
                        item = resume()
                except StopIteration as stop:
                    result = stop.value
                    break
                try:
                    sent = yield item
                except GeneratorExit:
                    with span.step():
                        items.close()
                    raise
                except BaseException as thrown:
                    resume = partial(items.throw, thrown)
                else:
                    resume = partial(items.send, sent)
        except BaseException as error:
            span.end(error)
            raise
        span.end(None)
        return result

    return call


def wrap_async_generator(function: Callable[..., Any], make_span: Callable[[], CallSpan]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        span = make_span()
        span.start()
        try:
            items = function(*args, **kwargs)
            resume: Callable[[], Any] = partial(anext, items)
            while True:
                try:
                    with span.step():
                        item = await resume()
                except StopAsyncIteration:
                    break
                try:
                    sent = yield item
                except GeneratorExit:
                    with span.step():
                        await items.aclose()
                    raise
                except BaseException as thrown:
                    resume = partial(items.athrow, thrown)
                else:
                    resume = partial(items.asend, sent)
        except BaseException as error:
            span.end(error)
            raise
        span.end(None)

    return call
