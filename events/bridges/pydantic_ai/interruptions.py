"""Interruptions of the functions that `instrument` is given: the call that asks them is emitted all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Interrupted(Exception):
    """A price function or a validator was interrupted; it is no failure of theirs."""


class Interruptions:
    """The interruptions of the functions of one call, such as by Ctrl-C: raised once the call is emitted."""

    _first: BaseException | None = None

    def ask(self, function: Callable[..., T], *args: Any) -> T:
        """Return what a function returns.

        Raises:
            Interrupted: It was interrupted.
        """
        try:
            return function(*args)
        except Exception:
            raise
        except BaseException as interruption:
            self._first = self._first or interruption
            raise Interrupted from interruption

    def raise_first(self) -> None:
        """Raise what interrupted a function, if anything did."""
        if self._first is not None:
            interruption, self._first = self._first, None
            raise interruption
