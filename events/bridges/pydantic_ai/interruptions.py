"""Interruptions of the functions that `instrument` is given: the call that asks them is emitted all the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class Interrupted(Exception):
    """A price function or a validator was interrupted; it is no failure of theirs."""


class Interruptions:
    """The interruptions of the functions of one call, such as by Ctrl-C: raised once the call is emitted."""

    def __init__(self) -> None:
        self._first: BaseException | None = None

    def watch(self, function: F | None) -> F | None:
        """Return a function that raises `Interrupted` where this one is interrupted."""
        if function is None:
            return None

        @wraps(function)
        def run(*args: Any) -> Any:
            try:
                return function(*args)
            except Exception:
                raise
            except BaseException as interruption:
                self._first = self._first or interruption
                raise Interrupted from interruption

        return run  # type: ignore[return-value]  # it is called as the function is

    def raise_first(self) -> None:
        """Raise what interrupted a function, if anything did."""
        interruption, self._first = self._first, None
        if interruption is not None:
            raise interruption
