"""The small parts that workflows stand on: the catalogue, executor slots, work that is never torn."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.workflows import executor_locks
from app.workflows.definitions import WORKFLOWS, WorkflowDefinition
from app.workflows.shield import run_shielded


@pytest.mark.parametrize("workflow", WORKFLOWS.values(), ids=lambda workflow: workflow.name)
def test_every_step_of_a_workflow_has_a_name_of_its_own(workflow: WorkflowDefinition) -> None:
    """A step's row is found by the run and the step's name."""
    names = [step.name for step in workflow.steps()]
    assert len(names) == len(set(names))
    assert set(workflow.result) <= set(names)


def test_the_workflows_have_the_steps_that_were_promised() -> None:
    """Names and order are part of the durable workflows' version."""
    assert {name: [[step.name for step in stage] for stage in flow.stages] for name, flow in WORKFLOWS.items()} == {
        "product_content": [["copywriter"], ["reviewer"], ["optimizer"]],
        "brand_identity": [["strategist"], ["copywriter"], ["reviewer"]],
        "content_review": [["reviewer"], ["editor"], ["reviewer_2"]],
        "campaign": [["strategist"], ["copywriter", "copywriter_2"], ["reviewer"]],
    }


def test_living_processes_never_share_a_slot(tmp_path: Path) -> None:
    first, second = executor_locks.acquire(tmp_path), executor_locks.acquire(tmp_path)
    assert first.executor_id == f"{executor_locks.host_name()}-0"
    assert second.executor_id == f"{executor_locks.host_name()}-1"
    first.release()
    second.release()


def test_a_slot_has_the_same_name_after_a_restart(tmp_path: Path) -> None:
    before = executor_locks.acquire(tmp_path)
    before.release()
    after = executor_locks.acquire(tmp_path)
    assert after.executor_id == before.executor_id
    after.release()


def test_a_slot_is_free_when_its_process_was_killed(tmp_path: Path) -> None:
    """The kernel drops the lock: nothing has to be cleaned up."""
    program = (
        "import sys, pathlib; from app.workflows import executor_locks; "
        "executor_locks.acquire(pathlib.Path(sys.argv[1])); print('acquired', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "acquired\n"
        name = f"{executor_locks.host_name()}-0"
        with executor_locks.lock_if_dead(tmp_path, name) as gone:
            assert not gone
        os.kill(other.pid, signal.SIGKILL)
    with executor_locks.lock_if_dead(tmp_path, name) as gone:
        assert gone


def test_an_executor_that_was_never_here_is_not_said_to_be_gone(tmp_path: Path) -> None:
    """It may live on another machine; and a name is no way out of the directory."""
    (tmp_path / "outside.lock").touch()
    inside = tmp_path / "executors"
    inside.mkdir()
    for name in ("elsewhere-0", "../outside", ""):
        with executor_locks.lock_if_dead(inside, name) as gone:
            assert not gone
        assert not executor_locks.has_lock_file(inside, name)


async def test_work_is_done_to_its_end_although_it_is_cancelled() -> None:
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


async def test_what_work_raises_is_passed_on() -> None:
    async def work() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        await run_shielded(work())
