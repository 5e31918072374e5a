"""Work that runs to completion even if the task that awaits it is cancelled."""

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
