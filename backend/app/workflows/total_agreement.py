"""The agreement of all processes on how many runs they execute at once together: the log says where they differ."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

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

    def compare(self, executors: Iterable[ExecutorState], is_gone: Callable[[str], bool]) -> None:
        """Compare it with that of each living process that executes runs.

        One whose lease has lapsed begins no difference, and ends none before it is gone: after an outage of the
        database that is so of all for a moment.

        Args:
            executors: The other executors.
            is_gone: Returns whether an executor is gone, by its id.
        """
        living = (one for one in executors if one.concurrency and not is_gone(one.id))
        totals = (one.total_concurrency for one in living if not one.is_lapsed or one.total_concurrency in self._others)
        others = frozenset(totals) - {self._own}
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
