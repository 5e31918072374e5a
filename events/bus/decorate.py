"""A span around every call of a function, of any of the four kinds of function."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager
from functools import partial, wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import Any, Protocol, Self, TypeVar, cast

from .receivers import function_of

F = TypeVar("F", bound=Callable[..., Any])


class Work(AbstractContextManager[Any], Protocol):
    """What `wrapped` needs of a span: a ``with`` block, or a start, steps and an end."""

    def start(self) -> None: ...
    def step(self) -> AbstractContextManager[None]: ...
    def end(self, error: BaseException | None) -> None: ...
    def __enter__(self) -> Self: ...


def wrapped(begin: Callable[[], Work]) -> Callable[[F], F]:
    """Decorate a function so that each call is a span made by ``begin``."""

    def decorate(work: F) -> F:
        code = function_of(work)
        if isasyncgenfunction(code):
            call: Any = async_generator(work, begin)
        elif isgeneratorfunction(code):
            call = generator(work, begin)
        elif iscoroutinefunction(code):
            call = coroutine(work, begin)
        else:
            call = function(work, begin)
        return cast(F, wraps(work)(call))

    return decorate


def function(work: Callable[..., Any], begin: Callable[[], Work]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with begin():
            return work(*args, **kwargs)

    return call


def coroutine(work: Callable[..., Any], begin: Callable[[], Work]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        with begin():
            return await work(*args, **kwargs)

    return call


# A generator shares its caller's context. So a span is current only while a step runs, never across a yield: else what
# the caller does between two items would be told as done inside. The loops are PEP 380's `yield from`, step by step.


def generator(work: Callable[..., Any], begin: Callable[[], Work]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        span = begin()
        span.start()
        try:
            items = work(*args, **kwargs)
            resume: Callable[[], Any] = partial(next, items)
            while True:
                try:
                    with span.step():
                        item = resume()
                except StopIteration as stop:
                    answer = stop.value
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
        return answer

    return call


def async_generator(work: Callable[..., Any], begin: Callable[[], Work]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        span = begin()
        span.start()
        try:
            items = work(*args, **kwargs)
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
