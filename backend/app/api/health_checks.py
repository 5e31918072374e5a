"""The health checks: each component is checked once for all who ask at a time, and nobody waits for long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.database import Database, DatabaseUnavailable
from app.llm.factory import LLM, ModelUnavailable
from app.workflows.service import WorkflowService
from app.workflows.workflow_errors import QueueFull, RunsUnavailable
from events import component_checked

from .schemas.health import ComponentHealth, Health, HealthStatus, Ready

CHECK_TIMEOUT = 1.8  # seconds; `/health` answers within two
STOPPING = "The process stops."
QUEUE_IS_FULL = "The queue is full."

Check = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of the check of a component.

    ``reason`` says why it is unavailable to clients, None where it is not. It may be ``up`` all the same: a full queue
    takes no run, which its own metrics and 429 say, and the workflows in it are executed.
    """

    reason: str | None
    up: bool = False

    @property
    def health(self) -> ComponentHealth:
        """The component's health as clients are told."""
        return ComponentHealth(status="ok" if self.reason is None else "unavailable", reason=self.reason)


class HealthChecks:
    """The checks of an application's components, by name."""

    def __init__(self) -> None:
        self._checks: dict[str, asyncio.Task[None]] = {}

    async def check_all(
        self, database: Database, llm: LLM | None, workflows: WorkflowService, *, draining: bool = False
    ) -> Health:
        """Check all components at the same time, for two seconds at most; emit and return the health of each.

        Nothing can be started while the process is ``draining``. Where there is no model, it is nobody's business here.
        """
        checks: dict[str, Check] = {"database": database.ping}
        if llm is not None:
            checks["model"] = llm.check
        checks["workflows"] = workflows.check
        findings = await asyncio.gather(*(self.run(name, check) for name, check in checks.items()))
        found = dict(zip(checks, findings, strict=True))
        if draining:
            found["workflows"] = Finding(STOPPING)
        for name, finding in found.items():
            _emit(name, finding)
        components = {name: finding.health for name, finding in found.items()}
        status: HealthStatus = "ok" if all(part.status == "ok" for part in components.values()) else "unavailable"
        return Health(
            status=status,
            database=components["database"],
            model=components.get("model"),
            workflows=components["workflows"],
        )

    async def check_instance(self, database: Database, *, draining: bool = False) -> Ready:
        """Return whether this process is to be sent requests: it does not stop, and can use its database.

        The model and the queue are left out: all processes share them, and a client that learns of them by the answer
        of a request is better off than one that reaches no process at all.
        """
        if draining:
            return Ready(status="unavailable", reason=STOPPING)
        found = await self.run("database", database.ping)
        _emit("database", found)
        return Ready(status=found.health.status, reason=found.reason)

    async def run(self, name: str, check: Check) -> Finding:
        """Return what a check of a component found: the one under way, or a new one.

        A check that takes too long is not cancelled, because it may hang in a place that a cancellation does not reach.
        It is the one that is asked the next time, so there is never more than one.
        """
        task = self._checks.get(name)
        if task is None or task.done():
            task = self._checks[name] = asyncio.ensure_future(_awaited(check))
        done, _ = await asyncio.wait({task}, timeout=CHECK_TIMEOUT)
        if not done:
            return Finding(f"No answer within {CHECK_TIMEOUT:g} seconds.")
        try:
            task.result()
        except QueueFull:
            return Finding(QUEUE_IS_FULL, up=True)
        except (DatabaseUnavailable, ModelUnavailable, RunsUnavailable) as error:
            return Finding(str(error))
        except (
            Exception,
            asyncio.CancelledError,
        ) as error:  # the component is unavailable; the message may hold secrets
            return Finding(f"The check itself failed ({type(error).__name__}).")
        return Finding(None, up=True)


async def check_forever(interval: float, check: Callable[[], Awaitable[object]]) -> None:
    """Call ``check()`` now and every ``interval`` seconds, until cancelled: it emits what it finds."""
    while True:
        await check()
        await asyncio.sleep(interval)


def _emit(name: str, finding: Finding) -> None:
    reason = "" if finding.up else finding.reason or ""
    component_checked.emit(component=name, up=int(finding.up), reason=reason)


async def _awaited(check: Check) -> None:
    await check()
