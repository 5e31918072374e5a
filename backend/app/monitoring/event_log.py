"""Log lines of what happens to the studio's work: a run that failed, a component that cannot be used or can be again.

They are written where the events are, so that none is missed whichever part of the studio emits it. No line has what a
prompt, an answer or an exception says.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager

from events import ComponentChecked, WorkflowFinished, component_checked, workflow_finished

log = logging.getLogger("app")


@contextmanager
def log_events(is_stopping: Callable[[], bool] = lambda: False) -> Generator[None]:
    """Log failed runs, and components that change, while the block runs.

    Args:
        is_stopping: Returns whether the process stops on purpose, which is no news about a component.
    """
    components = ComponentLog(is_stopping)
    with workflow_finished.connected_to(log_failed_run), component_checked.connected_to(components.receive):
        yield


def log_failed_run(event: WorkflowFinished) -> None:
    """Log one warning about a run that failed or was abandoned: its id, its workflow, and what kind of error it was."""
    if event.status in {"failed", "abandoned"}:
        detail = f" ({event.error})" if event.error else ""
        log.warning(
            "run %s of %s %s: %s%s; GET /api/v1/runs/%s says more",
            event.run_id,
            event.workflow_type,
            "failed" if event.status == "failed" else "was abandoned",
            event.error_type,
            detail,
            event.run_id,
        )


class ComponentLog:
    """Logs a component when a check finds that it can no longer be used, and when it can be again.

    Args:
        is_stopping: Returns whether the process stops on purpose; nothing is logged then.
    """

    def __init__(self, is_stopping: Callable[[], bool]) -> None:
        self._is_stopping = is_stopping
        self._down: set[str] = set()

    def receive(self, event: ComponentChecked) -> None:
        """Log the component of a check if it has changed since the one before."""
        if self._is_stopping() or event.up == (event.component not in self._down):
            return
        if event.up:
            self._down.discard(event.component)
            log.info("component %s can be used again", event.component)
        else:
            self._down.add(event.component)
            log.warning("component %s cannot be used: %s", event.component, event.reason or "/health says why")
