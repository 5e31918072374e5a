"""The process that imports what others do, and forks a process for each command line that it is sent.

    python -m tests.support.preloader LISTENER_FD MODULE...

Who connects to its socket is sent one byte once everything is imported. A request is JSON with descriptors: a command
line with the socket that is told the child's process id and its exit code, or more modules with the listening socket
of another such process, which is forked to import those on top. It ends when all who have connected are gone.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from tests.support.command_lines import WARNINGS_ARE_ERRORS, run_command_line
from tests.support.forked_workers import fork_workers
from tests.support.main_modules import run_as_main

READY = b"\n"
_MAX_REQUEST = 1 << 20  # bytes


class _Closable(Protocol):
    def fileno(self) -> int: ...
    def close(self) -> None: ...


class _Child:
    """A forked process, with the descriptor that tells its end."""

    def __init__(self, pid: int, status: socket.socket | None) -> None:
        self._pid = pid
        self._descriptor = os.pidfd_open(pid)
        self._status = status  # who is told the exit code

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def wait(self) -> None:
        """Take its exit code and report it."""
        _, ended = os.waitpid(self._pid, 0)
        if self._status is not None:
            with suppress(ConnectionError):
                self._status.send(str(os.waitstatus_to_exitcode(ended)).encode())

    def close(self) -> None:
        """Close the descriptors."""
        os.close(self._descriptor)
        if self._status is not None:
            self._status.close()


class Preloader:
    """Forks for those that connect to a listening socket.

    Args:
        listener: The listening socket.
        run: Runs a command line in a child, and ends it.
    """

    def __init__(self, listener: socket.socket, run: Callable[[Sequence[str]], None]) -> None:
        self._run = run
        self._listener = listener
        # Not epoll: a forked process would share the set of what is waited for.
        self._selector = selectors.PollSelector()
        self._connected = 0
        self._interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the children
        listener.setblocking(False)
        self._add(listener, self._accept)

    def serve(self) -> None:
        """Fork for each request until nobody is connected any more; return in a child, once it is done."""
        while True:
            for key, _ in self._selector.select():
                if key.data(key.fileobj):
                    return
            if self._connected == 0 and not self._accept(self._listener) and self._connected == 0:
                self._close()
                return

    def _add(self, what: _Closable, ready: Callable[[Any], bool]) -> None:
        self._selector.register(what, selectors.EVENT_READ, ready)

    def _remove(self, what: _Closable) -> None:
        self._selector.unregister(what)
        what.close()

    def _close(self) -> None:
        """Close all descriptors, in a child those that it has been forked with."""
        for key in [*self._selector.get_map().values()]:
            self._remove(key.fileobj)  # type: ignore[arg-type]
        self._selector.close()

    def _accept(self, listener: socket.socket) -> bool:
        with suppress(BlockingIOError):
            connection, _ = listener.accept()
            connection.setblocking(True)
            self._add(connection, self._answer)
            self._connected += 1
            with suppress(ConnectionError):
                connection.send(READY)
        return False

    def _answer(self, connection: socket.socket) -> bool:
        """Fork for a request of a connection, or close it at its end; return whether this is a child that is done."""
        try:
            request, descriptors, _, _ = socket.recv_fds(connection, _MAX_REQUEST, 3)
        except ConnectionError:
            request, descriptors = b"", []
        if not request:
            self._connected -= 1
            self._remove(connection)
            return False
        asked = json.loads(request)
        modules: list[str] | None = asked.get("modules")
        pid = os.fork()
        if pid == 0:
            self._close()
            signal.signal(signal.SIGINT, self._interrupt)
            if modules is not None:
                main(socket.socket(fileno=descriptors[0]), tuple(modules), self._run)
                return True
            os.close(descriptors[0])
            _settle(asked["cwd"], asked["env"], descriptors[1:])
            self._run(asked["command"])
            return True
        status = socket.socket(fileno=descriptors[0])
        if modules is not None:
            status.close()
            self._add(_Child(pid, None), self._reap)
            return False
        for descriptor in descriptors[1:]:
            os.close(descriptor)
        self._add(_Child(pid, status), self._reap)
        with suppress(ConnectionError):
            status.send(str(pid).encode())
        return False

    def _reap(self, child: _Child) -> bool:
        child.wait()
        self._remove(child)
        return False


def main(listener: socket.socket, modules: tuple[str, ...], run: Callable[[Sequence[str]], None]) -> None:
    """Import the modules, then fork for those that connect; return in a child too, once it is done."""
    gc.disable()
    for module in modules:
        __import__(module)
    gc.enable()
    gc.freeze()
    Preloader(listener, run).serve()


def _settle(cwd: str, env: Mapping[str, str], output: Sequence[int]) -> None:
    """Have this process look as if it had been executed there, with this environment and standard streams."""
    for descriptor, stream in zip(output, (1, 2), strict=True):
        os.dup2(descriptor, stream)
        os.close(descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    tempfile.tempdir = None  # so that it is where TMPDIR says here


def run_studio(command: Sequence[str]) -> None:
    """Run a module of a studio, which forks its workers."""
    option, module, *arguments = command
    assert option == "-m"
    fork_workers()
    run_as_main(module, arguments)


def _installed_path() -> list[str]:
    """Return Python's path of modules without those of ``PYTHONPATH`` and of a program's own folder."""
    command = [sys.executable, "-P", "-c", "import json, sys; print(json.dumps(sys.path))"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    path: list[str] = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    return path


if __name__ == "__main__":
    is_strict = tuple(f"-W{option}" for option in sys.warnoptions) == ("".join(WARNINGS_ARE_ERRORS),)
    main(
        socket.socket(fileno=int(sys.argv[1])),
        tuple(sys.argv[2:]),
        partial(run_command_line, installed=_installed_path()) if is_strict else run_studio,
    )
