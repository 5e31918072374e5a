"""The lifespan of a serving process: the process is counted, its numbers stay fresh, its deployment is checked."""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager

from events import worker_run
from events.pipeline import SetupFault

from ..multiprocess import Workers
from .deployment import ADVICE, check_deployment

log = logging.getLogger("metrics")


@contextmanager
def process_lifespan(
    workers: Workers | None = None,
    clock_ahead: float | None = None,
    *,
    advice: Mapping[SetupFault, str] | None = None,
) -> Generator[None]:
    """Run the block as the life of a serving process, such as an ASGI application's lifespan.

    `worker_started` and `worker_finished` are emitted at its start and end; with ``workers``, what this process reads
    of itself is refreshed every second for the scrapes that other processes answer. A deployment whose numbers will be
    wrong is logged as a warning and emitted as `setup_fault_found`.

    Args:
        workers: The processes that share their numbers with this one, if any do.
        clock_ahead: By how many seconds another machine's clock, such as the database's, is ahead of this one's.
        advice: What to do about a fault, by fault, in the application's own words; `deployment.ADVICE` for the rest.
    """
    texts = {**ADVICE, **(advice or {})}
    for fault in check_deployment(shared=workers is not None, clock_ahead=clock_ahead):
        log.warning("the numbers will be wrong (%s): %s.", fault, texts[fault])
    with ExitStack() as parts:
        parts.enter_context(worker_run())
        if workers is not None:
            parts.enter_context(workers.refreshing())
        yield
