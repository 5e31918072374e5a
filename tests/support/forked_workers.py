"""Workers that a preloaded launcher forks from itself in place of executing them: each start is two seconds of imports.

A worker has what it would have if it were executed: its environment, standard input, session, signals and descriptors,
and no more of these. Its name in ``/proc`` is the beginning of its module's.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.main_modules import run_as_main

WORKER = "app.server.worker"

_create_subprocess = asyncio.create_subprocess_exec


def fork_workers() -> None:
    """Have this process fork its workers, and execute everything else."""
    asyncio.create_subprocess_exec = _create  # type: ignore[assignment]


async def _create(
    program: str, *arguments: str, pass_fds: Collection[int] = (), env: Mapping[str, str] | None = None, **options: Any
) -> Process:
    if (program, *arguments) == (sys.executable, "-m", WORKER):
        # It never returns, so that nothing is executed.
        options["preexec_fn"] = partial(_become_worker, pass_fds, dict(env or os.environ))
    return await _create_subprocess(program, *arguments, pass_fds=pass_fds, env=env, **options)


def _become_worker(descriptors: Collection[int], environment: Mapping[str, str]) -> None:
    """Run a worker in this new process, and end it."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as Python does at its start
        for descriptor in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
            if descriptor > 2 and descriptor not in descriptors:
                with suppress(OSError):  # that of the listing
                    os.close(descriptor)
        Path("/proc/self/comm").write_text(WORKER)
        sys.stdin = os.fdopen(0)
        os.environ.clear()
        os.environ.update(environment)
        run_as_main(WORKER, [])
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    finally:
        os._exit(code)
