"""The health checks: each component is checked once for all who ask at a time, and nobody waits for long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from app.database import DatabaseUnavailable
from app.llm.factory import ModelUnavailable
from app.workflows.workflow_errors import RunsUnavailable

from .schemas.health import ComponentHealth

CHECK_TIMEOUT = 1.8  # seconds; `/health` answers within two

Check = Callable[[], Awaitable[None]]


class HealthChecks:
    """The checks of an application's components, by name."""

    def __init__(self) -> None:
        self._checks: dict[str, asyncio.Task[None]] = {}

    async def run(self, name: str, check: Check) -> ComponentHealth:
        """Return the health of a component: that of the check under way, or of a new one.

        A check that takes too long is not cancelled, because it may hang in a place that a cancellation does not reach.
        It is the one that is asked the next time, so there is never more than one.
        """
        task = self._checks.get(name)
        if task is None or task.done():
            task = self._checks[name] = asyncio.ensure_future(_awaited(check))
        done, _ = await asyncio.wait({task}, timeout=CHECK_TIMEOUT)
        if not done:
            return unavailable(f"No answer within {CHECK_TIMEOUT:g} seconds.")
        try:
            task.result()
        except (DatabaseUnavailable, ModelUnavailable, RunsUnavailable) as error:
            return unavailable(str(error))
        except (
            Exception,
            asyncio.CancelledError,
        ) as error:  # the component is unavailable; the message may hold secrets
            return unavailable(f"The check itself failed ({type(error).__name__}).")
        return ComponentHealth(status="ok")


def unavailable(reason: str) -> ComponentHealth:
    """Return the health of a component that is unavailable."""
    return ComponentHealth(status="unavailable", reason=reason)


async def _awaited(check: Check) -> None:
    await check()
