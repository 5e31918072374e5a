"""The health checks: each component is checked once for all who ask at a time, and nobody waits for long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from app.database import Database, DatabaseUnavailable
from app.llm.factory import LLM, ModelUnavailable
from app.workflows.service import WorkflowService
from app.workflows.workflow_errors import RunsUnavailable
from events import component_checked

from .schemas.health import ComponentHealth, Health, HealthStatus, Ready

CHECK_TIMEOUT = 1.8  # seconds; `/health` answers within two
STOPPING = "The process stops."

Check = Callable[[], Awaitable[None]]


class HealthChecks:
    """The checks of an application's components, by name."""

    def __init__(self) -> None:
        self._checks: dict[str, asyncio.Task[None]] = {}

    async def check_all(
        self, database: Database, llm: LLM, workflows: WorkflowService, *, draining: bool = False
    ) -> Health:
        """Check all components at the same time, for two seconds at most; emit and return the health of each.

        Nothing can be started while the process is ``draining``.
        """
        database_health, model_health, workflows_health = await asyncio.gather(
            self.run("database", database.ping),
            self.run("model", llm.check),
            self.run("workflows", workflows.check),
        )
        if draining:
            workflows_health = unavailable(STOPPING)
        components = {"database": database_health, "model": model_health, "workflows": workflows_health}
        for name, component in components.items():
            _emit(name, component)
        status: HealthStatus = "ok" if all(part.status == "ok" for part in components.values()) else "unavailable"
        return Health(status=status, **components)

    async def check_instance(self, database: Database, *, draining: bool = False) -> Ready:
        """Return whether this process is to be sent requests: it does not stop, and can use its database.

        The model and the queue are left out: all processes share them, and a client that learns of them by the answer
        of a request is better off than one that reaches no process at all.
        """
        if draining:
            return Ready(status="unavailable", reason=STOPPING)
        found = await self.run("database", database.ping)
        _emit("database", found)
        return Ready(status=found.status, reason=found.reason)

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


async def check_forever(interval: float, check: Callable[[], Awaitable[object]]) -> None:
    """Call ``check()`` now and every ``interval`` seconds, until cancelled: it emits what it finds."""
    while True:
        await check()
        await asyncio.sleep(interval)


def _emit(name: str, component: ComponentHealth) -> None:
    component_checked.emit(component=name, up=int(component.status == "ok"), reason=component.reason or "")


def unavailable(reason: str) -> ComponentHealth:
    """Return the health of a component that is unavailable."""
    return ComponentHealth(status="unavailable", reason=reason)


async def _awaited(check: Check) -> None:
    await check()
