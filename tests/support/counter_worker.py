"""A worker that counts in a process of its own: ``python -m tests.support.counter_worker FOLDER WHAT``.

It says on standard output what it has counted, a line each time, after it has counted it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prometheus_client import CollectorRegistry

from events import agent_run, llm_called, workflow_started
from metrics import CATALOGUE, Workers, subscribe
from metrics.multiprocess import archive

ROOT = Path(__file__).parents[2]
NAMES = {
    "llm_tokens_total", "llm_request_duration_seconds", "active_agent_executions", "last_event_timestamp_seconds",
    "worker_file_faults_total", "workflows_started_total", "events_total",
}  # fmt: skip
ROWS = tuple(row for row in CATALOGUE if row.name in NAMES)


class LocalWorker:
    """A worker in this process: a registry, its subscription, and the folder that it shares."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.registry = CollectorRegistry()
        self.workers = Workers(folder, **options)
        self.subscription = subscribe(ROWS, self.registry, namespace="sparklio", workers=self.workers)

    def read(self, name: str, **labels: str) -> float | None:
        """Scrape, and give one sample by its name without the namespace."""
        self.workers.collect()
        return self.registry.get_sample_value(f"sparklio_{name}", labels)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.subscription.close()
        self.workers.close()


class WorkerProcess:
    """One such process, of this module or of one that is begun alike."""

    def __init__(self, folder: Path, what: str, *more: object, module: str = "tests.support.counter_worker") -> None:
        command = [sys.executable, "-m", module, str(folder), what, *map(str, more)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    def line(self) -> str:
        """Wait for the next line that it says."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> list[str]:
        """Kill it with -9 and give the lines that it still had said."""
        self.process.kill()
        return self.wait()

    def wait(self) -> list[str]:
        """Wait for its end and give the rest of what it said."""
        assert self.process.stdout is not None
        with self.process.stdout as said:
            lines = said.read().split("\n")
        self.process.wait(30)
        return [line for line in lines if line]


def say(what: object) -> None:
    """Say it at once: what is still in a buffer dies with the process."""
    os.write(1, f"{what}\n".encode())


def count(model: str = "m") -> None:
    """Count one call of three tokens."""
    llm_called.emit(model=model, status="success", duration=0.25, prompt_tokens=2, completion_tokens=1)


def for_ever(_: Path) -> None:
    """Count until killed; what was said was counted."""
    number = 0
    while True:
        count()
        number += 1
        say(number)


def many_names(_: Path) -> None:
    """Make series until killed."""
    number = 0
    while True:
        workflow_started.emit(run_id=str(number), workflow_type=f"kind {number}")
        number += 1
        say(number)


def working(_: Path) -> None:
    """Have an agent at work until killed."""
    with agent_run(agent_name="copywriter", task="t"):
        count()
        say("working")
        signal.pause()


def once(_: Path) -> None:
    """Count once and leave."""
    count()
    say("done")


def forking(_: Path) -> None:
    """Count once, and once more in a child process that is forked."""
    count()
    if not os.fork():
        count()
        os._exit(0)
    os.wait()
    count()
    say("done")


def fold_and_die(folder: Path) -> None:
    """Be killed at so many steps into taking the dead workers into the archive."""
    steps = int(sys.argv[3])

    def mortal(step: Callable[..., Any]) -> Callable[..., Any]:
        def take(*args: Any, **options: Any) -> Any:
            nonlocal steps
            if steps == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            steps -= 1
            return step(*args, **options)

        return take

    for name in ("open", "replace", "unlink"):
        setattr(Path, name, mortal(getattr(Path, name)))
    archive.archive_dead(folder, say)
    say("survived")


def main() -> None:
    """Do what the command line says."""
    folder, what = Path(sys.argv[1]), sys.argv[2]
    if what == "fold_and_die":
        fold_and_die(folder)
        return
    with LocalWorker(folder):
        {"for_ever": for_ever, "many_names": many_names, "working": working, "once": once, "forking": forking}[what](
            folder
        )


if __name__ == "__main__":
    main()
