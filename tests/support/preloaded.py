"""Processes forked from one that has imported what they do: the start of a studio is three CPU seconds of imports.

    python -m tests.support.preloaded CONTROL_FD MODULE...

A pytest process has one such process for studios (and one for those that share their metrics, set by a variable
that is read when the studio is imported), from its first studio to its own end, one for programs that import other
people's libraries, one for those that need prometheus_client alone, one for our own command line and for pytest with
our plugin, and one for workers that only count.
Each child runs a command line of Python as if it had been executed: with its own directory, environment, standard
streams and exit code. A launcher forks its workers.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

from tests.support.command_lines import WARNINGS_ARE_ERRORS, run_command_line
from tests.support.forked_workers import fork_workers
from tests.support.main_modules import run_as_main

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
_MAX_REQUEST = 1 << 20  # bytes


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
    """Start the process that imports and forks, and return the socket that takes requests; it ends when that does."""
    options = () if is_studio(modules) else WARNINGS_ARE_ERRORS
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, *options, "-m", __name__, str(theirs.fileno()), *modules],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("SPARKLIO_")},
            "PYTHONUNBUFFERED": "1",
        },
    )
    theirs.close()
    atexit.register(process.wait)
    atexit.register(ours.close)  # before the wait: the last that is registered is the first to be called
    return ours


def main(control: socket.socket, modules: tuple[str, ...]) -> None:
    """Import the modules, then fork a child for each request, until no more can come."""
    gc.disable()
    for module in modules:
        __import__(module)
    gc.enable()
    gc.freeze()
    run = _run_studio if is_studio(modules) else partial(run_command_line, installed=_installed_path())
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, _MAX_REQUEST, 3)
        if not request:
            return
        keeper = os.fork()
        if keeper == 0:
            control.close()
            _keep(run, json.loads(request), *descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass


def _installed_path() -> list[str]:
    """Return Python's path of modules without those of ``PYTHONPATH`` and of a program's own folder."""
    command = [sys.executable, "-P", "-c", "import json, sys; print(json.dumps(sys.path))"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    path: list[str] = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    return path


def _keep(run: Callable[[Sequence[str]], None], request: dict[str, Any], status_descriptor: int, *output: int) -> None:
    """Fork the child and report its process id, then its exit code; return in the child, once it is done."""
    status = socket.socket(fileno=status_descriptor)
    child = os.fork()
    if child == 0:
        status.close()
        _settle(request["cwd"], request["env"], output)
        run(request["command"])
        return
    for descriptor in output:
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the child
    status.send(str(child).encode())
    _, ended = os.waitpid(child, 0)
    with suppress(BrokenPipeError):
        status.send(str(os.waitstatus_to_exitcode(ended)).encode())
    os._exit(0)


def _settle(cwd: str, env: Mapping[str, str], output: Sequence[int]) -> None:
    """Have this process look as if it had been executed there, with this environment and standard streams."""
    for descriptor, stream in zip(output, (1, 2), strict=True):
        os.dup2(descriptor, stream)
        os.close(descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    tempfile.tempdir = None  # so that it is where TMPDIR says here


def _run_studio(command: Sequence[str]) -> None:
    """Run a module of a studio, which forks its workers."""
    option, module, *arguments = command
    assert option == "-m"
    fork_workers()
    run_as_main(module, arguments)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        main(requests, tuple(sys.argv[2:]))
