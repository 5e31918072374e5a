"""Several workers behind one port: started, replaced when they die, stopped; and what they share.

They share the port, a folder for their numbers, and the embedded model's server, which is one a host. Each takes an
executor slot of its own: the one that replaces a dead worker takes that one's, and with it its runs.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic

from app.llm.embedded.remote import RemoteEmbeddedServer
from app.llm.embedded.server import EmbeddedServer, ModelNotInstalled
from app.llm.unavailable import ModelUnavailable
from app.server.sockets import StartupError
from app.server.uvicorn_server import stop_on_signals
from app.settings import Settings

log = logging.getLogger("app")

FOLDER = "sparklio-workers-"
_STOP_WITHIN = 15.0  # seconds for workers that were told to stop
_LOOK = 1.0  # seconds between two looks at the model
_LONGEST_PAUSE = 30.0  # seconds before a worker that dies again and again is replaced


class Failed(Exception):
    """A worker could not start, and has said why."""

    def __init__(self, code: int) -> None:
        super().__init__(f"a worker ended with {code} before it served")
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What every worker is given."""

    settings: Settings
    arguments: Sequence[str]
    listener: socket.socket
    scraped: socket.socket
    folder: Path
    model: RemoteEmbeddedServer | None


def refuse(settings: Settings) -> None:
    """Refuse what several workers cannot do.

    Raises:
        StartupError: the database is a SQLite file.
    """
    if settings.workers > 1 and settings.sqlite_file is not None:
        raise StartupError(
            f"SPARKLIO_WORKERS = {settings.workers} needs PostgreSQL: SQLite ({settings.sqlite_file}) lets one process"
            " write at a time; set SPARKLIO_DATABASE_URL=postgresql://user:password@host/name, or SPARKLIO_WORKERS=1."
        )


async def supervise(
    settings: Settings,
    arguments: Sequence[str],
    listener: socket.socket,
    scraped: socket.socket,
    ready: Callable[[], None],
) -> int:
    """Run so many workers until told to stop; the answer is the exit code.

    Raises:
        StartupError: the embedded model does not load.
    """
    with ExitStack() as parts:
        folder = settings.metrics_dir or parts.enter_context(folder_of_a_run())
        server = await lend(settings)
        if server is not None:
            parts.callback(server.stop)
        model = None if server is None else RemoteEmbeddedServer(server.address, server.key)
        workers = Workers(
            Shared(
                settings=settings, arguments=arguments, listener=listener, scraped=scraped, folder=folder, model=model
            )
        )
        with stop_on_signals(workers.stop):
            watching = asyncio.create_task(watch(server)) if server is not None else None
            try:
                return await workers.run(settings.workers, ready)
            finally:
                if watching is not None:
                    watching.cancel()


class Workers:
    """The worker processes of this supervisor."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._processes: set[asyncio.subprocess.Process] = set()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Tell all to stop; told again, they hurry."""
        self._stopping.set()
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.terminate()

    async def run(self, number: int, ready: Callable[[], None]) -> int:
        """Keep so many alive; the first starts alone, so that what keeps it from starting is told once."""
        keeping: list[asyncio.Task[None]] = []
        try:
            first = await self._start()
            others = await asyncio.gather(*(self._start() for _ in range(number - 1)))
            ready()
            keeping = [asyncio.create_task(self._keep(process)) for process in (first, *others)]
            await asyncio.gather(*keeping)
        except Failed as failed:
            return 130 if self._stopping.is_set() else failed.code
        finally:
            self.stop()
            for task in keeping:
                task.cancel()
            await self._end()
        return 0

    async def _keep(self, process: asyncio.subprocess.Process) -> None:
        """Replace a worker whenever it dies, sooner or later as it lived long or short."""
        pause = 0.0
        began = monotonic()
        while True:
            code = await process.wait()
            self._processes.discard(process)
            if self._stopping.is_set():
                return
            pause = 0.0 if monotonic() - began > _LONGEST_PAUSE else min(max(2 * pause, 0.5), _LONGEST_PAUSE)
            log.warning("worker %s ended (%s): another takes its place", process.pid, code)
            while True:
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause or 0.01)
                    return
                began = monotonic()
                try:
                    process = await self._start()
                except Failed:
                    pause = min(max(2 * pause, 0.5), _LONGEST_PAUSE)
                    continue
                break

    async def _start(self) -> asyncio.subprocess.Process:
        """Start a worker and wait until it serves.

        Raises:
            Failed: it ended before.
        """
        shared = self._shared
        if self._stopping.is_set():
            raise Failed(130)
        told, tell = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "app.server.worker",
                stdin=asyncio.subprocess.PIPE,
                pass_fds={shared.listener.fileno(), shared.scraped.fileno(), tell},
                env={**os.environ, "SPARKLIO_METRICS_DIR": str(shared.folder)},
                start_new_session=True,  # out of reach of the terminal's Ctrl-C: the supervisor tells it
            )
        except BaseException:
            os.close(told)
            raise
        finally:
            os.close(tell)
        self._processes.add(process)
        assert process.stdin is not None  # noqa: S101 - it was asked for
        line = {
            "arguments": list(shared.arguments),
            "listener": shared.listener.fileno(),
            "scraped": shared.scraped.fileno(),
            "ready": tell,
            "model": None if shared.model is None else asdict(shared.model),
        }
        process.stdin.write(json.dumps(line).encode() + b"\n")
        if not await serves(told):
            code = await process.wait()
            self._processes.discard(process)
            raise Failed(code if code > 0 else 1)
        return process

    async def _end(self) -> None:
        """Wait for all; those that take too long are killed."""
        waiting = [asyncio.create_task(process.wait()) for process in self._processes]
        if waiting:
            await asyncio.wait(waiting, timeout=_STOP_WITHIN)
        for process in self._processes:
            if process.returncode is None:
                log.warning("worker %s does not stop: it is killed", process.pid)
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        self._processes.clear()


async def serves(told: int) -> bool:
    """Wait for a worker's word that it serves; False where its end of the pipe closed without."""
    loop = asyncio.get_running_loop()
    said: asyncio.Future[bool] = loop.create_future()

    def read() -> None:
        if not said.done():
            said.set_result(bool(os.read(told, 1)))

    loop.add_reader(told, read)
    try:
        return await said
    finally:
        loop.remove_reader(told)
        os.close(told)


async def lend(settings: Settings) -> EmbeddedServer | None:
    """Start the embedded model, if it is wanted and installed; without it each worker says so.

    Raises:
        StartupError: it does not load.
    """
    if "embedded" not in settings.models:
        return None
    log.info("loading the model (embedded)")
    server = EmbeddedServer()
    try:
        await asyncio.to_thread(server.start)
    except ModelNotInstalled:
        return None
    except ModelUnavailable as error:
        raise StartupError(str(error)) from None
    return server


async def watch(server: EmbeddedServer) -> None:
    """Bring the model back when it dies."""
    while True:
        await asyncio.sleep(_LOOK)
        try:
            await asyncio.to_thread(server.revive)
        except ModelUnavailable as reason:
            log.warning("%s", reason)


@contextmanager
def folder_of_a_run() -> Generator[Path]:
    """Make a folder for the workers' numbers and remove it in the end, and those of supervisors that were killed."""
    place = Path(tempfile.gettempdir())
    for left in place.glob(f"{FOLDER}*"):
        with suppress(OSError), (left / "supervisor.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if left.stat().st_uid == os.getuid():
                shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=FOLDER))
    try:
        with (folder / "supervisor.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
