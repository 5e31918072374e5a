"""What a callable is called, and what calling it makes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import isasyncgenfunction, iscoroutinefunction, isfunction, ismethod
from typing import Any


def callable_name(receiver: Callable[..., Any]) -> str:
    """Name a receiver for people: its function's qualified name."""
    called = unwrapped(receiver)
    return getattr(called, "__qualname__", None) or type(called).__qualname__


def is_async(receiver: Callable[..., Any]) -> bool:
    """Tell whether calling a receiver only makes something to be awaited."""
    code = function_of(receiver)
    return iscoroutinefunction(code) or isasyncgenfunction(code)


def function_of(receiver: Callable[..., Any]) -> Callable[..., Any]:
    """Find the function that a call runs: a partial's, a method's, or an object's ``__call__``."""
    called = unwrapped(receiver)
    # On the type: a class is called through its metaclass, whatever its own `__call__` is.
    return called if isfunction(called) or ismethod(called) else type(called).__call__


def unwrapped(receiver: Callable[..., Any]) -> Callable[..., Any]:
    """Look through `functools.partial`."""
    while isinstance(receiver, partial):
        receiver = receiver.func
    return receiver
