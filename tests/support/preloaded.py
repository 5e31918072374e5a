"""Processes forked from one that has imported what they do: the start of a studio is three CPU seconds of imports.

All pytest processes of a run have one such process (`tests.support.preloader`) for studios, from the first studio to
the end of the last pytest that has started one (and one, forked from it, for those that do not share their metrics,
which is set by a variable that is read when the studio is imported), one for programs that import other people's
libraries, one for those that need prometheus_client alone, one for our own command line and for pytest with our plugin,
and one for workers that only count.
Each child runs a command line of Python as if it had been executed: with its own directory, environment, standard
streams and exit code. A launcher forks its workers.
"""

from __future__ import annotations

import atexit
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from tests.support.command_lines import WARNINGS_ARE_ERRORS

LATER = (
    "pydantic_ai.models.openai",
    "pydantic_ai.providers.openai",
    "openai.resources.chat.completions",
    "genai_prices.data",
    "dbos._sys_db_sqlite",
    "anyio._backends._asyncio",
    "uvicorn.lifespan.off",
    "uvicorn.protocols.websockets.auto",
    "encodings.idna",
)
"""What libraries import when a studio starts that asks a server by OpenAI's protocol."""
PRELOADED = ("app.main", "app.server.launcher", "app.commands", *LATER)
WITHOUT_METRICS = (
    "app.api",
    "app.workflows.service",
    "app.server.launcher",
    "events.bridges.event_loop",
    "events.bridges.sqlalchemy",
    "fastapi_offline",
    "metrics.live",
    *LATER,
)
"""What is imported for a studio with one of these settings: all but what subscribes the process."""
LIBRARIES = (
    "anthropic",
    "fastapi.testclient",
    "httpx",
    "openai.resources.chat.completions",
    "prometheus_client",
    "pydantic_ai.models.test",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "sqlalchemy.ext.asyncio",
)
"""What is imported for programs that are no studio: other people's libraries alone."""
PROMETHEUS_CLIENT = ("blinker", "prometheus_client")
"""What is imported for small programs that count: the libraries that ours needs, and much of Python's own with them."""
COMMANDS = ("tests.support.preloaded_commands",)
"""What is imported for ``python -m metrics``, and for ``python -m pytest`` with our plugin: all but the plugins."""
METRICS = ("events", "metrics", "metrics.multiprocess.archive")
"""What is imported for workers that count and are no studio."""
READ_BEFORE_SUBSCRIBING = frozenset({"SPARKLIO_METRICS_DIR", "SPARKLIO_NATIVE_HISTOGRAMS", "SPARKLIO_WORKERS"})
_SHARED = os.environ.get("PYTEST_XDIST_TESTRUNUID")
_RUN = _SHARED or uuid4().hex
"""What all pytest processes of one run have in common."""


class PreloadedProcess:
    """A child, with what `subprocess.Popen` offers that tests need.

    Args:
        command: Its command line, without the program's name: ``-m``, ``-c`` or a file, after ``-W error`` or nothing.
        modules: What is imported before: `LIBRARIES`, `PROMETHEUS_CLIENT`, `COMMANDS`, `METRICS`, or what a studio
            needs, which then is the only ``-m`` there is.
        cwd: Its working directory.
        env: Its whole environment.
        output: The descriptor of a file or a pipe for its standard output, and for its standard error.

    Attributes:
        pid: Its process id.
        returncode: Its exit code, minus the number of the signal that ended it, or None while it is not known to end.
    """

    def __init__(
        self, *command: str, modules: tuple[str, ...], cwd: Path, env: Mapping[str, str], output: tuple[int, int]
    ) -> None:
        self.returncode: int | None = None
        self._status, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        request = json.dumps({"command": command, "cwd": str(cwd), "env": dict(env)})
        socket.send_fds(_preloader(modules), [request.encode()], [theirs.fileno(), *output])
        theirs.close()
        self.pid = int(self._status.recv(32))

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code.

        Raises:
            subprocess.TimeoutExpired: It does not end within ``timeout`` seconds.
        """
        if self.returncode is None:
            self._status.settimeout(timeout)
            try:
                self.returncode = int(self._status.recv(32))
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0) from None
            self._status.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


def modules_of_studio(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return what is imported before a studio starts."""
    return PRELOADED if READ_BEFORE_SUBSCRIBING.isdisjoint(environment) else WITHOUT_METRICS


def is_studio(modules: tuple[str, ...]) -> bool:
    """Return whether modules are those of a studio, which are run by the name of one alone."""
    return modules in (PRELOADED, WITHOUT_METRICS)


def run_preloaded(
    *command: str, modules: tuple[str, ...], cwd: Path, env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run a command line of Python to its end and return its exit code and what it has written.

    Raises:
        subprocess.TimeoutExpired: It takes longer than ``timeout`` seconds.
    """
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        output = (stdout.fileno(), stderr.fileno())
        process = PreloadedProcess(*command, modules=modules, cwd=cwd, env=env, output=output)
        try:
            code = process.wait(timeout)
        finally:
            process.send_signal(signal.SIGKILL)
        for stream in (stdout, stderr):
            stream.seek(0)
        return subprocess.CompletedProcess(command, code, stdout.read(), stderr.read())


@cache
def _preloader(modules: tuple[str, ...]) -> socket.socket:
    """Return a connection to the process that has imported modules, which is started if there is none."""
    address = f"\0sparklio.tests.{_RUN}.{sha256(' '.join(modules).encode()).hexdigest()[:16]}"
    while True:
        is_started_here = _start_preloader(address, modules)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with suppress(ConnectionError):
            connection.connect(address)
            if connection.recv(1):
                break
        connection.close()  # the last that was connected was going, and that process with it
        assert not is_started_here, f"it did not start: {modules}"
    atexit.register(connection.close)  # before the wait: the last that is registered is the first to be called
    return connection


def _start_preloader(address: str, modules: tuple[str, ...]) -> bool:
    """Start the process that imports modules and forks, unless there is one at an address; return whether it was."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        try:
            listener.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
        listener.listen()
        if modules == PRELOADED:  # the other kind of studio and a little more
            request = json.dumps({"modules": modules}).encode()
            socket.send_fds(_preloader(WITHOUT_METRICS), [request], [listener.fileno()])
            return True
        options = () if is_studio(modules) else WARNINGS_ARE_ERRORS
        listener.set_inheritable(True)
        started = os.posix_spawn(
            sys.executable,
            [sys.executable, *options, "-m", "tests.support.preloader", str(listener.fileno()), *modules],
            {
                **{name: value for name, value in os.environ.items() if not name.startswith("SPARKLIO_")},
                "PYTHONUNBUFFERED": "1",
            },
            file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
        )
    if _SHARED is None:  # others may need it for longer than this process does
        atexit.register(os.waitpid, started, 0)
    return True
