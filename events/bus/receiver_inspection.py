"""Looks into the callables that receive events: their names, what they take, and whether a call has to be awaited."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import (
    Parameter,
    isasyncgen,
    isasyncgenfunction,
    iscoroutine,
    iscoroutinefunction,
    isfunction,
    ismethod,
    signature,
)
from types import UnionType
from typing import Any, Union, get_args, get_origin

from .event_classes import is_equivalent
from .failures import report_failure


class EventList(list[Any]):
    """A list of events, whose ``append`` is a receiver of nothing else."""

    events_only = True


def takes_events_only(receiver: Callable[..., Any]) -> bool:
    """Return whether a receiver is one of the library's, which cannot be called with what is no event of the signal.

    Those have ``events_only`` in their class, or in that of the object whose method they are.
    """
    owner = getattr(receiver, "__self__", None)
    return any(getattr(type(each), "events_only", False) for each in (receiver, owner))


def callable_name(called: Callable[..., Any]) -> str:
    """Return the qualified name of a callable's function, or of its class, for logs and labels.

    >>> from functools import partial
    >>> callable_name(partial(partial(int), base=2))
    'int'
    """
    inner = unwrap_partial(called)
    return getattr(inner, "__qualname__", None) or type(inner).__qualname__


def is_async(called: Callable[..., Any]) -> bool:
    """Return whether a call does nothing until its result is awaited or iterated."""
    function = called_function(called)
    return iscoroutinefunction(function) or isasyncgenfunction(function)


def refuse_awaitable(signal: str, receiver: Callable[..., Any], result: object) -> None:
    """Report what a receiver returned, if nothing happens until that is awaited or iterated."""
    if iscoroutine(result) or isasyncgen(result):
        if iscoroutine(result):
            result.close()  # else Python warns, later and elsewhere, that it was never awaited
        report_failure(signal, callable_name(receiver), TypeError(not_awaited(signal, receiver)))


def not_awaited(signal: str, receiver: Callable[..., Any]) -> str:
    """Return what is wrong with a receiver that is asynchronous, and the way out."""
    name = callable_name(receiver)
    return (
        f"receivers of {signal} are called, not awaited: {name} is asynchronous;"
        f" connect events.background({name}) instead"
    )


def called_function(called: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that a call runs: the one inside a partial or a method, or an object's ``__call__``."""
    inner = unwrap_partial(called)
    # On the type: a class is called through its metaclass, whatever its own `__call__` is.
    return inner if isfunction(inner) or ismethod(inner) else type(inner).__call__


def unwrap_partial(called: Callable[..., Any]) -> Callable[..., Any]:
    """Return the callable inside any number of `functools.partial`."""
    while isinstance(called, partial):
        called = called.func
    return called


def accepts(called: Callable[..., Any], event: type[Any]) -> bool:
    """Return whether a callable may be called with an event: False where its annotation names other classes alone.

    What has no annotation, or one that is not made of plain classes, takes anything; so does a function that
    `functools.wraps` has given the annotations of another one.
    """
    function = called_function(called)
    if hasattr(function, "__wrapped__"):
        return True
    try:
        parameters = list(signature(called, eval_str=True).parameters.values())
    except Exception:  # no signature, or an annotation that cannot be evaluated here, with whatever that raises
        return True
    first = parameters[0] if parameters else None
    if first is None or first.kind in (Parameter.KEYWORD_ONLY, Parameter.VAR_KEYWORD):
        return True  # not a matter of types
    hint = first.annotation
    classes = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if not all(isinstance(each, type) and each not in (Parameter.empty, Any) for each in classes):
        return True
    return any(
        getattr(each, "_is_protocol", False) or issubclass(event, each) or is_equivalent(each, event)
        for each in classes
    )
