"""The programs of docs/other-processes.md and docs/task-queues.md, written into a folder and run as processes there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.page_snippets import code_blocks
from tests.support.preloaded import PROMETHEUS_CLIENT, run_preloaded
from tests.support.wait import wait_until

DOCS = Path(__file__).parents[2] / "docs"
OTHER_PROCESSES = DOCS / "other-processes.md"
TASK_QUEUES = DOCS / "task-queues.md"

Samples = dict[tuple[str, ...], float]
"""Values by name, without the namespace, and the values of the labels in the order of the labels' names."""


@dataclass(frozen=True)
class PageFolder:
    """A folder with the programs of pages, whose processes share their numbers."""

    path: Path
    environment: dict[str, str]

    def run(self, *words: str, code: int = 0, stderr: str | None = "", **variables: str) -> str:
        """Run a program by Python to its end and return what it prints; ``stderr=None`` takes any standard error."""
        ran = subprocess.run(
            [sys.executable, "-W", "error", *words],
            cwd=self.path,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        return output_of(ran, code, stderr)

    def run_forked(self, *words: str, code: int = 0, stderr: str | None = "", **variables: str) -> str:
        """Run a program as `run` does, in a process forked from one that has imported prometheus_client."""
        command = ("-W", "error", *words)
        environment = {**self.environment, **variables}
        ran = run_preloaded(*command, modules=PROMETHEUS_CLIENT, cwd=self.path, env=environment, timeout=90)
        return output_of(ran, code, stderr)

    @contextmanager
    def started(self, *words: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
        """Run a program by Python while the block runs; what it writes goes to the file ``log``, shown on failure."""
        log = self.path / "log"
        with log.open("a") as output:
            process = subprocess.Popen(
                [sys.executable, *words],
                cwd=self.path,
                env={**self.environment, **variables},
                stdout=output,
                stderr=output,
                text=True,
                start_new_session=True,
            )
        with process:
            try:
                yield process
            except BaseException:
                print(log.read_text())  # noqa: T201  # for the report of the test
                raise
            finally:
                if process.poll() is None:
                    process.terminate()
                    try:
                        process.wait(20)
                    except subprocess.TimeoutExpired:
                        os.killpg(process.pid, 9)


def output_of(ran: subprocess.CompletedProcess[str], code: int, stderr: str | None) -> str:
    """Return what a program has printed; it has to have ended with a code and, unless None, this standard error."""
    assert (ran.returncode, ran.stderr if stderr is not None else None) == (code, stderr), ran.stderr
    return ran.stdout


def write_programs(folder: Path, pages: Sequence[Path], sparklio_path: Path, port: int) -> PageFolder:
    """Write the snippets of pages into a folder, each into the file that it begins with, with a port of the test's."""
    for page in pages:
        for block in code_blocks("python", page):
            (folder / block.split()[1]).write_text(block.replace("9200", str(port)))
    path = os.pathsep.join([str(sparklio_path), str(folder), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path, "METRICS_DIR": str(folder / "shared")}
    return PageFolder(folder, environment)


def samples_of(text: str, namespace: str = "acme_") -> Samples:
    """Return the samples of a namespace, by name without it and label values."""
    return {
        (sample.name.removeprefix(namespace), *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith(namespace)
    }


def scrape(port: int) -> Samples:
    """Return the samples that are served at a port."""
    return samples_of(httpx.get(f"http://127.0.0.1:{port}/metrics").raise_for_status().text)


def answers(port: int, path: str = "/metrics") -> bool:
    """Return whether somebody serves at a port."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}").status_code == 200
    except httpx.TransportError:
        return False


def until_scraped(port: int, expected: Samples, within: float = 30.0) -> None:
    """Wait until these are among the samples that are served at a port."""
    found: Samples = {}

    def as_expected() -> bool:
        found.clear()
        if answers(port):
            found.update(scrape(port))
        return expected.items() <= found.items()

    try:
        wait_until(as_expected, within=within, every=0.1)
    except AssertionError:
        shown = {key: found.get(key) for key in expected}
        raise AssertionError(f"{shown}, not {expected}") from None
