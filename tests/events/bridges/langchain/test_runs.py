"""Whether the code of a run is over, by the task or the thread that it started in."""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

from events.bridges.langchain.runs import Run, RunTable

table = RunTable(on_lost=lambda run: None)
ids: list[UUID] = []  # a run is lost once nobody holds its id


def begin() -> Run:
    """Return a call to a model that starts in the task or the thread that is running."""
    run_id = uuid4()
    ids.append(run_id)
    run = Run(run_id.int, "model", "m", parent=None, started_at=0.0)
    table.add(run_id, run)
    return run


async def begin_and_wait(end: asyncio.Event, runs: list[Run]) -> None:
    runs.append(begin())
    await end.wait()


async def test_a_call_of_another_task_is_abandoned_once_that_has_ended() -> None:
    end, runs = asyncio.Event(), list[Run]()
    task = asyncio.create_task(begin_and_wait(end, runs))
    await asyncio.sleep(0)
    [run] = runs
    here = asyncio.current_task()
    assert (run.is_abandoned(), run.has_unwound(here), run.has_unwound(task)) == (False, False, True)
    end.set()
    await task
    assert (run.is_abandoned(), run.has_unwound(here)) == (True, True)


async def test_so_is_one_of_a_task_that_is_gone() -> None:
    runs: list[Run] = []
    end = asyncio.Event()
    end.set()
    await asyncio.create_task(begin_and_wait(end, runs))
    await asyncio.sleep(0)  # until then the event loop holds it
    gc.collect()
    [run] = runs
    assert run.task is not None
    assert run.task() is None
    assert (run.is_abandoned(), run.has_unwound(asyncio.current_task())) == (True, True)


async def test_a_call_of_the_running_task_is_abandoned_where_no_function_that_makes_calls_is_running() -> None:
    assert begin().is_abandoned()


def test_a_call_of_another_thread_may_be_under_way() -> None:
    run = begin()
    with ThreadPoolExecutor(1) as other:
        assert not other.submit(run.is_abandoned).result()
    assert run.is_abandoned()
    assert not run.has_unwound(None)
