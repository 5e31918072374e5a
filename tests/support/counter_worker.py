"""A worker process that counts: ``python -m tests.support.counter_worker FOLDER SCENARIO``.

After each thing that it has counted it prints a line on standard output.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prometheus_client import CollectorRegistry

from events import agent_run, llm_called, workflow_started
from metrics import CATALOGUE, Workers, subscribe
from metrics.multiprocess import archive
from metrics.multiprocess.file_layout import SUFFIX
from tests.support.preloaded import METRICS, PreloadedProcess

ROOT = Path(__file__).parents[2]
NAMES = {
    "llm_tokens_total", "llm_request_duration_seconds", "active_agent_executions", "last_event_timestamp_seconds",
    "worker_file_faults_total", "workers_counting_alone", "workflows_started_total", "events_total",
}  # fmt: skip
ROWS = tuple(row for row in CATALOGUE if row.name in NAMES)


class LocalWorker:
    """A worker in this process: a registry, its subscription, and the folder that it shares."""

    def __init__(self, folder: Path, *, native_histograms: bool = False, **options: Any) -> None:
        self.registry = CollectorRegistry()
        self.workers = Workers(folder, **options)
        self.subscription = subscribe(
            ROWS, self.registry, namespace="sparklio", workers=self.workers, native_histograms=native_histograms
        )

    @property
    def file_name(self) -> str:
        """The name of this process's file."""
        path = self.workers._file.path
        assert path is not None
        return path.name

    def read(self, name: str, **labels: str) -> float | None:
        """Return one sample of a scrape by its name without the namespace."""
        self.workers.collect()
        return self.registry.get_sample_value(f"sparklio_{name}", labels)

    def calls(self, model: str = "m") -> tuple[float, ...]:
        """Return the number of calls of `count_call` that four samples of a scrape stand for."""
        return (
            (self.read("llm_tokens_total", model=model, token_type="prompt") or 0) / 2,
            self.read("llm_tokens_total", model=model, token_type="completion") or 0,
            self.read("llm_request_duration_seconds_count", model=model) or 0,
            (self.read("llm_request_duration_seconds_sum", model=model) or 0) / 0.25,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.subscription.close()
        self.workers.close()


class WorkerProcess:
    """A worker in a process of its own, forked as if by ``python -m MODULE FOLDER SCENARIO ARGUMENTS``.

    Most live for less than the half second that the imports take.
    """

    def __init__(
        self, folder: Path, scenario: str, *arguments: object, module: str = "tests.support.counter_worker"
    ) -> None:
        read, write = os.pipe()
        self._output = os.fdopen(read)
        command = ("-m", module, str(folder), scenario, *map(str, arguments))
        self.process = PreloadedProcess(*command, modules=METRICS, cwd=ROOT, env=os.environ, output=(write, 2))
        os.close(write)

    def read_line(self) -> str:
        """Return the next line that it prints, waiting for it."""
        return self._output.readline().strip()

    def kill(self) -> list[str]:
        """Kill it with SIGKILL and return the lines that it had printed and nobody had read."""
        self.process.send_signal(signal.SIGKILL)
        return self.wait()

    def wait(self) -> list[str]:
        """Wait for its end and return the lines that nobody had read."""
        with self._output as output:
            lines = output.read().split("\n")
        self.process.wait(30)
        return [line for line in lines if line]


def file_names(folder: Path) -> list[str]:
    """Return the names of the workers' files and of the archive, sorted."""
    return sorted(path.name for path in folder.iterdir() if path.suffix == SUFFIX)


def print_line(content: object) -> None:
    """Print a line without buffering: what is in a buffer is lost when the process is killed."""
    os.write(1, f"{content}\n".encode())


def count_call(model: str = "m") -> None:
    """Emit one LLM call of three tokens."""
    llm_called.emit(model=model, status="success", duration=0.25, prompt_tokens=2, completion_tokens=1)


def count_forever(_: Path) -> None:
    """Count calls until killed, and print how many were counted."""
    number = 0
    while True:
        count_call()
        number += 1
        print_line(number)


def create_series(_: Path) -> None:
    """Create series until killed, and print how many there are."""
    number = 0
    while True:
        workflow_started.emit(run_id=str(number), workflow_type=f"kind {number}")
        number += 1
        print_line(number)


def run_agent(_: Path) -> None:
    """Have an agent in flight until killed."""
    with agent_run(agent_name="copywriter", task="t"):
        count_call()
        print_line("working")
        signal.pause()


def count_once(_: Path) -> None:
    """Count one call and exit."""
    count_call()
    print_line("done")


def fork(_: Path) -> None:
    """Count one call, one in a forked child process, and one after it."""
    count_call()
    if not os.fork():
        count_call()
        os._exit(0)
    os.wait()
    count_call()
    print_line("done")


def die_while_archiving(folder: Path) -> None:
    """Archive the dead workers, and be killed before a given operation on the file system."""
    remaining = int(sys.argv[3])

    def mortal(operation: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal remaining
            if remaining == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            remaining -= 1
            return operation(*args, **options)

        return call

    for name in ("open", "replace", "unlink"):
        setattr(Path, name, mortal(getattr(Path, name)))
    archive.archive_dead(folder, lambda fault, _: print_line(fault), "sparklio")
    print_line("survived")


def main() -> None:
    """Run the scenario that the command line names."""
    folder, scenario = Path(sys.argv[1]), sys.argv[2]
    if scenario == "die_while_archiving":
        die_while_archiving(folder)
        return
    scenarios = {each.__name__: each for each in (count_forever, create_series, run_agent, count_once, fork)}
    with LocalWorker(folder, native_histograms=sys.argv[3:] == ["native"]):
        scenarios[scenario](folder)


if __name__ == "__main__":
    main()
