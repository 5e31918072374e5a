"""Processes of the studio that are forked from one that has imported it: a start is three CPU seconds of imports.

    python -m tests.support.preloaded CONTROL_FD MODULE...

A pytest process has one such process (and one for studios that share their metrics, which is set by a variable that is
read when the studio is imported), from its first studio to its own end. Each child runs ``python -m app`` as if it
had been executed: with its own directory, environment, standard streams and exit code. A launcher forks its workers.
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
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

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
READ_BEFORE_SUBSCRIBING = frozenset({"SPARKLIO_METRICS_DIR", "SPARKLIO_NATIVE_HISTOGRAMS", "SPARKLIO_WORKERS"})
_MAX_REQUEST = 1 << 20  # bytes


class PreloadedProcess:
    """A child, with what `subprocess.Popen` offers that tests need.

    Args:
        module: What it runs as its main module.
        arguments: Its command line, without the program's name.
        cwd: Its working directory.
        env: Its whole environment.
        output: The descriptor of a file or a pipe for its standard output, and for its standard error.

    Attributes:
        pid: Its process id.
        returncode: Its exit code, minus the number of the signal that ended it, or None while it is not known to end.
    """

    def __init__(
        self, module: str, *arguments: str, cwd: Path, env: Mapping[str, str], output: tuple[int, int]
    ) -> None:
        self.returncode: int | None = None
        modules = PRELOADED if READ_BEFORE_SUBSCRIBING.isdisjoint(env) else WITHOUT_METRICS
        self._status, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        request = json.dumps({"module": module, "arguments": arguments, "cwd": str(cwd), "env": dict(env)})
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


def run_preloaded(
    module: str, *arguments: str, cwd: Path, env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run a module to its end and return its exit code and what it has written.

    Raises:
        subprocess.TimeoutExpired: It takes longer than ``timeout`` seconds.
    """
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        output = (stdout.fileno(), stderr.fileno())
        process = PreloadedProcess(module, *arguments, cwd=cwd, env=env, output=output)
        try:
            code = process.wait(timeout)
        finally:
            process.send_signal(signal.SIGKILL)
        for stream in (stdout, stderr):
            stream.seek(0)
        return subprocess.CompletedProcess([module, *arguments], code, stdout.read(), stderr.read())


@cache
def _preloader(modules: tuple[str, ...]) -> socket.socket:
    """Start the process that imports and forks, and return the socket that takes requests; it ends when that does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(theirs.fileno()), *modules],
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


def main(control: socket.socket, modules: Sequence[str]) -> None:
    """Import the studio, then fork a child for each request, until no more can come."""
    gc.disable()
    for module in modules:
        __import__(module)
    gc.enable()
    gc.freeze()
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, _MAX_REQUEST, 3)
        if not request:
            return
        keeper = os.fork()
        if keeper == 0:
            control.close()
            _keep(json.loads(request), *descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass


def _keep(request: dict[str, Any], status_descriptor: int, *output: int) -> None:
    """Fork the child and report its process id, then its exit code; return in the child, once it is done."""
    status = socket.socket(fileno=status_descriptor)
    child = os.fork()
    if child == 0:
        status.close()
        _run(**request, output=output)
        return
    for descriptor in output:
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the child
    status.send(str(child).encode())
    _, ended = os.waitpid(child, 0)
    with suppress(BrokenPipeError):
        status.send(str(os.waitstatus_to_exitcode(ended)).encode())
    os._exit(0)


def _run(module: str, arguments: Sequence[str], cwd: str, env: Mapping[str, str], output: Sequence[int]) -> None:
    """Run a module as the main one, in a process that looks as if it had been executed."""
    for descriptor, stream in zip(output, (1, 2), strict=True):
        os.dup2(descriptor, stream)
        os.close(descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    tempfile.tempdir = None  # so that it is where TMPDIR says here
    fork_workers()
    run_as_main(module, arguments)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
