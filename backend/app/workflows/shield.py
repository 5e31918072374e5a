"""Work that goes on although the task that awaits it is cancelled, or has waited for long enough."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def run_shielded(work: Coroutine[Any, Any, T]) -> T:
    """Await ``work`` to completion, even if this task is cancelled meanwhile; then let the cancellation take effect.

    If a transaction were cut off between its commit and the emission of its events, they would be emitted never, or
    twice. `asyncio.shield` alone does not help: it returns at once and leaves the work running in the background.
    """
    task = asyncio.ensure_future(work)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is not None:
        raise cancellation from (None if task.cancelled() else task.exception())
    return task.result()


async def wait_within(timeout_seconds: float, work: Coroutine[Any, Any, T], background: set[asyncio.Task[Any]]) -> T:
    """Return what ``work`` returns; if it takes longer, it goes on as one of the ``background`` tasks.

    Raises:
        TimeoutError: It takes longer.
    """
    task = asyncio.create_task(work)
    background.add(task)
    task.add_done_callback(background.discard)
    done, _ = await asyncio.wait({task}, timeout=timeout_seconds)
    if not done:
        task.add_done_callback(_retrieve_error)
        raise TimeoutError
    return task.result()


def _retrieve_error(task: asyncio.Task[Any]) -> None:
    """Take a task's error, which asyncio would log: whoever waited for it is gone."""
    if not task.cancelled():
        task.exception()
