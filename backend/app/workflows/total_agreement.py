"""The agreement of all processes on how many runs they execute at once together: the log says where they differ."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from app.database.repositories.executors import ExecutorState

log = logging.getLogger("app.workflows")


class TotalAgreement:
    """Compares the total of this process with those of the others, and logs each change of what it finds once.

    Args:
        own: How many runs all processes together may execute, as this one has it; None for no such limit.
    """

    def __init__(self, own: int | None) -> None:
        self._own = own
        self._others: frozenset[int | None] = frozenset()

    def compare(self, executors: Iterable[ExecutorState]) -> None:
        """Compare it with that of each living process that executes runs."""
        living = (one for one in executors if one.concurrency and not one.is_lapsed)
        others = frozenset(one.total_concurrency for one in living) - {self._own}
        if others and others != self._others:
            log.warning(
                "SPARKLIO_TOTAL_CONCURRENCY is %s here and %s in other processes of this database: "
                "the limit is not held; give all of them the same",
                _shown(self._own),
                " or ".join(sorted(map(_shown, others))),
            )
        elif self._others and not others:
            log.info("SPARKLIO_TOTAL_CONCURRENCY is the same in all processes again")
        self._others = others


def _shown(total: int | None) -> str:
    return "unset" if total is None else str(total)
