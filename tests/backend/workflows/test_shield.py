"""Shielded work completes, whatever happens to the task that awaits it."""

from __future__ import annotations

import asyncio

import pytest

from app.workflows.shield import run_shielded


async def test_shielded_work_completes_although_it_is_cancelled() -> None:
    """And the cancellation arrives afterwards, however often it was asked for."""
    entered, leave = asyncio.Event(), asyncio.Event()
    done: list[str] = []

    async def work() -> None:
        entered.set()
        await leave.wait()
        done.append("committed and emitted")

    task = asyncio.create_task(run_shielded(work()))
    await entered.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    leave.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == ["committed and emitted"]


async def test_an_error_of_shielded_work_is_raised() -> None:
    async def work() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        await run_shielded(work())
