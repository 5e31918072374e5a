"""The supervisor of several workers: it starts them with what they share, replaces those that die, and stops them.

They share the ports, a directory for their metrics, and the server of the embedded model, one a host. Each worker takes
a DBOS executor id of its own. The worker that replaces a dead one takes over its id, and with it its runs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from app.llm.embedded.process_usage import ProcessUsage
from app.llm.embedded.remote import RemoteEmbeddedServer
from app.settings import Settings

from .announcements import Announcements
from .exit_codes import INTERRUPTED
from .metrics_dir import temporary_metrics_dir
from .model_usage import usage_line
from .readiness import wait_until_ready
from .shared_model import start_shared_model, watch_model
from .sockets import Listeners
from .startup_error import StartupError
from .uvicorn_server import stop_on_signals
from .worker_options import WorkerOptions

log = logging.getLogger("app")

_STOP_TIMEOUT = 15.0  # seconds; a worker that takes longer to stop is killed
_MIN_RESTART_DELAY = 0.5  # seconds
_MAX_RESTART_DELAY = 30.0  # seconds; also how long a worker has to live for the delay to be reset


def validate_worker_count(settings: Settings) -> None:
    """Check that the database lets several workers write.

    Raises:
        StartupError: Several workers are wanted and the database is a SQLite file.
    """
    if settings.workers > 1 and settings.sqlite_file is not None:
        raise StartupError(
            f"SPARKLIO_WORKERS = {settings.workers} needs PostgreSQL: SQLite ({settings.sqlite_file}) lets one process"
            " write at a time; set SPARKLIO_DATABASE_URL=postgresql://user:password@host/name, or SPARKLIO_WORKERS=1."
        )


async def supervise(
    settings: Settings,
    arguments: Sequence[str],
    factory: str,
    listeners: Listeners,
    announcements: Announcements,
) -> int:
    """Run the workers until a signal comes, and return the exit code.

    Args:
        settings: The settings.
        arguments: The command line, which each worker reads its settings from.
        factory: The import string of the application's factory.
        listeners: The listening sockets, which the workers inherit.
        announcements: Is told when all workers accept requests, and when a signal stops them.

    Raises:
        StartupError: The embedded model cannot be loaded.
    """
    with ExitStack() as resources:
        metrics_dir = settings.metrics_dir or resources.enter_context(temporary_metrics_dir())
        server = await start_shared_model(settings)
        if server is not None:
            resources.callback(server.stop)
        workers = WorkerProcesses(
            WorkerConfig(
                arguments=arguments,
                factory=factory,
                listeners=listeners,
                metrics_dir=metrics_dir,
                model_server=None if server is None else RemoteEmbeddedServer(server.address, server.key),
            )
        )
        with stop_on_signals(workers.stop, announcements.stopping):
            watching = asyncio.create_task(watch_model(server, workers.report)) if server is not None else None
            try:
                return await workers.run(settings.workers, announcements.ready)
            finally:
                if watching is not None:
                    watching.cancel()


class WorkerFailed(Exception):
    """A worker ended before it accepted requests. It has printed why."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"a worker ended with {exit_code} before it was ready")
        self.exit_code = exit_code


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """The configuration that all workers share."""

    arguments: Sequence[str]
    factory: str
    listeners: Listeners
    metrics_dir: Path
    model_server: RemoteEmbeddedServer | None


class WorkerProcesses:
    """The worker processes of one supervisor."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._processes: dict[asyncio.subprocess.Process, bool] = {}  # and whether each is ready, the eldest first
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Send SIGTERM to all workers; a second call makes them close open connections at once."""
        self._stopping.set()
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.terminate()

    def report(self, usage: ProcessUsage) -> None:
        """Send the usage of the model's process to one worker: the eldest that accepts requests."""
        for process, ready in self._processes.items():
            if ready and process.stdin is not None and not process.stdin.is_closing():
                process.stdin.write(usage_line(usage))
                return

    async def run(self, count: int, on_ready: Callable[[], None]) -> int:
        """Run ``count`` workers until `stop`, and return the exit code.

        The first worker starts alone, so that an error that keeps all of them from starting is printed once.
        """
        keepers: list[asyncio.Task[None]] = []
        try:
            first = await self._start()
            others = await asyncio.gather(*(self._start() for _ in range(count - 1)))
            on_ready()
            keepers = [asyncio.create_task(self._keep_alive(process)) for process in (first, *others)]
            await asyncio.gather(*keepers)
        except WorkerFailed as failure:
            return INTERRUPTED if self._stopping.is_set() else failure.exit_code
        finally:
            self.stop()
            for keeper in keepers:
                keeper.cancel()
            await self._wait_or_kill()
        return 0

    async def _keep_alive(self, process: asyncio.subprocess.Process) -> None:
        """Replace a worker whenever it dies: at once if it lived long, or else after a growing delay."""
        delay = 0.0
        started = monotonic()
        while True:
            exit_code = await process.wait()
            self._processes.pop(process, None)
            if self._stopping.is_set():
                return
            delay = 0.0 if monotonic() - started > _MAX_RESTART_DELAY else _next_delay(delay)
            log.warning("worker %s ended (%s): another takes its place", process.pid, exit_code)
            while True:
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), delay or 0.01)
                    return
                started = monotonic()
                try:
                    process = await self._start()
                except WorkerFailed:
                    delay = _next_delay(delay)
                    continue
                break

    async def _start(self) -> asyncio.subprocess.Process:
        """Start a worker and return its process once it accepts requests.

        Raises:
            WorkerFailed: It ended before.
        """
        config = self._config
        if self._stopping.is_set():
            raise WorkerFailed(INTERRUPTED)
        ready_read, ready_write = os.pipe()
        options = WorkerOptions(
            arguments=list(config.arguments),
            factory=config.factory,
            listener_fd=config.listeners.api.fileno(),
            metrics_listener_fd=config.listeners.metrics.fileno(),
            ready_fd=ready_write,
            model_server=config.model_server,
        )
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "app.server.worker",
                stdin=asyncio.subprocess.PIPE,
                pass_fds={options.listener_fd, options.metrics_listener_fd, options.ready_fd},
                env={**os.environ, "SPARKLIO_METRICS_DIR": str(config.metrics_dir)},
                start_new_session=True,  # out of reach of the terminal's Ctrl-C: the supervisor stops it
            )
        except BaseException:
            os.close(ready_read)
            raise
        finally:
            os.close(ready_write)
        self._processes[process] = False
        if self._stopping.is_set():  # while it was created: `stop` did not know it yet
            with suppress(ProcessLookupError):
                process.terminate()
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        process.stdin.write(options.to_json().encode() + b"\n")
        if not await wait_until_ready(ready_read):
            exit_code = await process.wait()
            self._processes.pop(process, None)
            raise WorkerFailed(exit_code if exit_code > 0 else 1)
        self._processes[process] = True
        return process

    async def _wait_or_kill(self) -> None:
        """Wait for all workers to end, and kill those that take too long."""
        waits = [asyncio.create_task(process.wait()) for process in self._processes]
        if waits:
            await asyncio.wait(waits, timeout=_STOP_TIMEOUT)
        for process in self._processes:
            if process.returncode is None:
                log.warning("worker %s does not stop: it is killed", process.pid)
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        self._processes.clear()


def _next_delay(delay: float) -> float:
    return min(max(2 * delay, _MIN_RESTART_DELAY), _MAX_RESTART_DELAY)
