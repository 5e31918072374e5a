"""Wrappers in place of a dialect's methods, and how those are restored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Dialect

Method = Callable[..., Any]


class ReplacedMethods:
    """The methods of one dialect that have wrappers in their place."""

    def __init__(self) -> None:
        self._replaced: dict[str, tuple[Method | None, Method]] = {}  # the dialect's own attribute, and the wrapper

    def replace(self, dialect: Dialect, name: str, wrapper: Method) -> None:
        """Put a wrapper in the place of a method."""
        self._replaced[name] = vars(dialect).get(name), wrapper
        setattr(dialect, name, wrapper)

    def restore(self, dialect: Dialect) -> None:
        """Restore the methods; a wrapper that was itself wrapped stays, and has to pass calls on."""
        for name, (before, wrapper) in self._replaced.items():
            if vars(dialect).get(name) is wrapper:
                if before is None:
                    delattr(dialect, name)
                else:
                    setattr(dialect, name, before)
