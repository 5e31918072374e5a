"""Self-tests of the code that uses prometheus_client's private parts: each runs once, when it is first needed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import cache
from typing import Protocol

log = logging.getLogger("metrics")


class SelfTest(Protocol):
    """A self-test: call it to know whether it passed; ``cache_clear`` makes the next call run it again."""

    def __call__(self) -> bool: ...

    def cache_clear(self) -> None:
        """Forget the result."""


def self_test(differences: Callable[[], Iterable[str]], *, otherwise: str) -> SelfTest:
    """Return a function that returns whether a self-test passes; it runs the test at the first call only.

    Args:
        differences: Compares our results with those of the prometheus_client at hand and returns what differs; nothing
            is a pass, and an exception a difference.
        otherwise: What happens instead of the fast path where the test fails; a warning is logged with it, once.
    """

    @cache
    def passes() -> bool:
        try:
            found = list(differences())
        except Exception as error:
            found = [type(error).__name__]
        if found:
            log.warning("prometheus_client works otherwise than expected (%s): %s", ", ".join(found), otherwise)
        return not found

    return passes
