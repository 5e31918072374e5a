"""What ends the execution of a run: it leaves time to read an answer that has come already."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from app.workflows.active_run import READ_TIME, ActiveRun


def active(task: asyncio.Task[object]) -> ActiveRun:
    return ActiveRun(task, lambda: None)


async def test_an_answer_that_has_come_is_read_although_the_loop_is_late() -> None:
    """As on a machine that has no time for the process: the stop is due by the time at which the answer is seen."""
    here, there = socket.socketpair()
    with there:
        reader, writer = await asyncio.open_connection(sock=here)
        try:

            async def call() -> bytes:
                answer = await reader.readline()
                await asyncio.sleep(0)  # as between the transport and whoever reads the usage
                return answer

            task: asyncio.Task[object] = asyncio.create_task(call())
            await asyncio.sleep(0)
            active(task).stop_in(READ_TIME)
            there.sendall(b"paid\n")
            time.sleep(READ_TIME * 1.5)  # noqa: ASYNC251  # what holds up the loop
            assert await task == b"paid\n"
        finally:
            writer.close()
            await writer.wait_closed()


async def test_a_call_whose_answer_has_not_come_is_broken_off_in_time() -> None:
    task: asyncio.Task[object] = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    began = time.monotonic()
    active(task).stop_in(READ_TIME)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began >= READ_TIME


async def test_a_task_that_has_released_its_run_is_not_cancelled() -> None:
    task: asyncio.Task[object] = asyncio.create_task(asyncio.sleep(0.2, "done"))
    run = active(task)
    run.stop_in(0.05)
    run.released.set()
    assert await task == "done"


async def test_a_task_that_is_ending_its_run_is_not_cancelled() -> None:
    """As when the answer came before the stop was due: the run ends as it was cancelled, and that is not broken off."""
    task: asyncio.Task[object] = asyncio.create_task(asyncio.sleep(0.2, "done"))
    run = active(task)
    run.stop_in(0.05)
    run.ending = True
    assert await task == "done"
