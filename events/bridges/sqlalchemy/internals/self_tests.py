"""Tests a private attribute once, and logs if it is not as expected."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache, wraps

import sqlalchemy

log = logging.getLogger("events")


def self_test(consequence: str) -> Callable[[Callable[[], bool]], Callable[[], bool]]:
    """Return a decorator for a test: its outcome is cached, an exception is a failure.

    A failure is logged, once, with its ``consequence``.
    """

    def decorate(test: Callable[[], bool]) -> Callable[[], bool]:
        @cache
        @wraps(test)
        def passes() -> bool:
            try:
                outcome = test()
            except Exception:
                outcome = False
            if not outcome:
                log.warning("SQLAlchemy %s has changed inside: %s", sqlalchemy.__version__, consequence)
            return outcome

        return passes

    return decorate
