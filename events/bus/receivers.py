"""Looks into the callables that receive events: their names, and whether a call has to be awaited."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import isasyncgenfunction, iscoroutinefunction, isfunction, ismethod
from typing import Any


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
