"""A process that serves: counted while it does, its numbers kept fresh for its fellow workers, its set-up looked at."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from events import worker_run

from ..multiprocess import Workers
from .deployment import ADVICE, examine

log = logging.getLogger("metrics")


@contextmanager
def process_lifespan(workers: Workers | None = None, ahead: float | None = None) -> Generator[None]:
    """Put this around the life of an application; it warns where the numbers cannot be right.

    Args:
        workers: The processes that it shares its numbers with, if it does.
        ahead: By how many seconds another machine's clock, as the database's, is ahead of the one here.
    """
    for found in examine(shared=workers is not None, ahead=ahead):
        log.warning("the numbers will be wrong (%s): %s.", found, ADVICE[found])
    with ExitStack() as parts:
        parts.enter_context(worker_run())
        if workers is not None:
            parts.enter_context(workers.refreshing())
        yield
