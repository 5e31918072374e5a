"""The programs that monitor: where they are, and their processes."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Self
from urllib.request import urlopen

NAMES = {"prometheus": ("prometheus",), "alertmanager": ("alertmanager", "prometheus-alertmanager")}
"""What each program is called: Debian has another name for one."""

INSTALL = (
    "apt install prometheus prometheus-alertmanager (Debian, Ubuntu), brew install prometheus (macOS), or"
    " https://prometheus.io/download/"
)
READY_WITHIN = 60.0  # seconds; a store with much in it is read first


class ProgramFailed(RuntimeError):
    """A program has ended, or never answered; the message has the end of its log."""


def find_program(name: str) -> str | None:
    """Return the path of a program by whichever of its names it is installed, None where it is not."""
    return next((path for called in NAMES[name] if (path := shutil.which(called))), None)


def installed(name: str) -> str:
    """Return the path of a program.

    Raises:
        FileNotFoundError: it is not installed; the message says how it is.
    """
    path = find_program(name)
    if path is None:
        raise FileNotFoundError(f"{name} is not installed: {INSTALL}")
    return path


class Program:
    """A program with a web address, and its log in a file: a ``with`` block runs it.

    Attributes:
        url: Where it answers.
    """

    def __init__(
        self, name: str, command: Sequence[str], port: int, log: Path, listen: str = "--web.listen-address"
    ) -> None:
        self.name = name
        self.url = f"http://127.0.0.1:{port}"
        self._command = [*command, f"{listen}=127.0.0.1:{port}"]
        self._log = log

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603 - found by name
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The id of its process, once it runs."""
        return self._process.pid

    def stop(self) -> None:
        """Have it end, and wait until it has."""
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def check(self) -> None:
        """Do nothing while it runs.

        Raises:
            ProgramFailed: it has ended.
        """
        if (code := self._process.poll()) is not None:
            raise ProgramFailed(f"{self.name} ended with {code}:\n{self._end_of_log()}")

    def _wait_until_ready(self) -> None:
        deadline = monotonic() + READY_WITHIN
        while monotonic() < deadline:
            self.check()
            with suppress(OSError), urlopen(f"{self.url}/-/ready", timeout=5) as answer:  # noqa: S310 - its own
                if answer.status == 200:
                    return
            sleep(0.1)
        raise ProgramFailed(f"{self.name} was not ready within {READY_WITHIN:.0f} s:\n{self._end_of_log()}")

    def _end_of_log(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-8:])


def version_of(program: str) -> tuple[int, ...]:
    """Return the version that a program of the Prometheus project says it has.

    Raises:
        RuntimeError: it says none.
    """
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)  # noqa: S603 - found by name
    found = re.search(r"version (\d+(?:\.\d+)+)", said.stdout + said.stderr)
    if found is None:
        raise RuntimeError(f"{program} --version does not say which it is: {said.stdout + said.stderr}")
    return tuple(map(int, found[1].split(".")))


def prometheus(folder: Path, port: int, *options: str, program: str | None = None) -> Program:
    """Return Prometheus on the ``prometheus.yml`` of a folder, which its store and its log are put in.

    ``program`` is its path, by default that of the one that is installed.

    Raises:
        FileNotFoundError: it is not installed.
    """
    command = [
        program or installed("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        *options,
    ]
    return Program("prometheus", command, port, folder / "prometheus.log")


def alertmanager(folder: Path, port: int) -> Program:
    """Return Alertmanager on the ``alertmanager.yml`` of a folder, which its store and its log are put in.

    Raises:
        FileNotFoundError: it is not installed.
    """
    command = [
        installed("alertmanager"),
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'alertmanager'}",
        "--cluster.listen-address=",
    ]
    return Program("alertmanager", command, port, folder / "alertmanager.log")
