"""The supervisor's worker processes, one at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.server.exit_codes import INTERRUPTED
from app.server.sockets import Listeners, listen
from app.server.supervisor import WorkerConfig, WorkerProcesses


async def test_a_worker_that_is_created_while_the_others_are_stopped_is_stopped_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    create = asyncio.create_subprocess_exec
    with listen("127.0.0.1", 0) as listener:
        workers = WorkerProcesses(
            WorkerConfig(
                arguments=(),
                factory="app.main:create_app",
                listeners=Listeners(listener, listener),
                metrics_dir=tmp_path,
                model_server=None,
            )
        )

        async def create_and_stop(
            _python: str, *_arguments: str, pass_fds: set[int], **options: object
        ) -> asyncio.subprocess.Process:
            # Like a worker, it holds the pipe's end and goes on until it is told to stop.
            process = await create("sleep", "3600", stdin=asyncio.subprocess.PIPE, pass_fds=pass_fds)
            workers.stop()
            created.append(process)
            return process

        created: list[asyncio.subprocess.Process] = []
        monkeypatch.setattr(asyncio, "create_subprocess_exec", create_and_stop)
        async with asyncio.timeout(60):
            assert await workers.run(1, pytest.fail) == INTERRUPTED
            [process] = created
            await process.communicate()  # closes the pipe to its input, which the supervisor's end would
