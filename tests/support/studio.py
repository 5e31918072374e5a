"""A studio in a process of its own, started the way ``make run`` does, and a client that keeps the tally."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Self

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

READY = "ready at "
ENDED = {"completed", "failed", "cancelled", "abandoned"}
BRIEF = {
    "brand": "Acme Audio",
    "product": "wireless earbuds",
    "features": ["noise cancelling"],
    "audience": "commuters",
}


def until(condition: Callable[[], Any], within: float = 30.0, every: float = 0.02) -> Any:
    """Give what ``condition`` answers as soon as that is true.

    Raises:
        AssertionError: it was not within that many seconds.
    """
    deadline = monotonic() + within
    while not (answer := condition()):
        assert monotonic() < deadline, f"not within {within} s: {condition}"
        sleep(every)
    return answer


class StudioProcess:
    """One server process; its data lies in ``directory``, so another one can take it up."""

    def __init__(self, directory: Path, port: int, **settings: object) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.directory = directory
        own = {f"SPARKLIO_{name.upper()}": str(value) for name, value in {"port": port, **settings}.items()}
        others = {name: value for name, value in os.environ.items() if not name.startswith("SPARKLIO_")}
        self.environment = {**others, **own, "PYTHONUNBUFFERED": "1"}
        self.lines: list[str] = []
        self.tally: Counter[tuple[str, str, int]] = Counter()
        self.client = httpx.Client(base_url=self.url, timeout=30.0)

    def start(self, within: float = 100.0) -> Self:
        """Start it and wait until it says that it is ready."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app"],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        until(lambda: any(READY in line for line in self.lines) or self.process.poll() is not None, within)
        assert self.process.poll() is None, f"it did not start:\n{self.output}"
        return self

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            self.lines.extend(iter(stream.readline, ""))

    @property
    def output(self) -> str:
        """What it printed so far."""
        return "".join(self.lines)

    def end(self, how: signal.Signals = signal.SIGTERM, within: float = 15.0) -> int:
        """Send it a signal and give its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(within)
        self._reader.join(5)
        return code

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        try:
            self.end()
        except subprocess.TimeoutExpired:
            self.end(signal.SIGKILL)
            raise
        finally:
            if error is not None:
                print(self.output)  # noqa: T201  # shown with the failure

    def call(
        self, method: str, template: str, *, json: Any = None, headers: Any = None, **values: Any
    ) -> httpx.Response:
        """Make a request by its route's template and keep the tally of what came back."""
        answer = self.client.request(method, template.format(**values), json=json, headers=headers)
        if template != "/metrics":
            self.tally[method, template, answer.status_code] += 1
        return answer

    def submit(self, workflow_type: str, **brief: Any) -> str:
        """Start a run and give its id."""
        template = "/api/v1/workflows/{workflow_type}/runs"
        answer = self.call("POST", template, json={**BRIEF, **brief}, workflow_type=workflow_type)
        assert answer.status_code == 202, answer.text
        run_id: str = answer.json()["run_id"]
        return run_id

    def run(self, run_id: str) -> dict[str, Any]:
        """Read a run."""
        answer = self.call("GET", "/api/v1/runs/{run_id}", run_id=run_id)
        assert answer.status_code == 200, answer.text
        run: dict[str, Any] = answer.json()
        return run

    def ended(self, run_id: str, within: float = 60.0) -> dict[str, Any]:
        """Wait for a run's end and read it."""
        run: dict[str, Any] = until(lambda: run if (run := self.run(run_id))["status"] in ENDED else None, within)
        return run

    def scrape(self) -> list[Sample]:
        """Read every sample of ``/metrics``."""
        text = self.call("GET", "/metrics").text
        return [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def total(self, name: str, **labels: str) -> float:
        """Add up the samples of a name whose labels include these."""
        return sum(
            s.value for s in self.scrape() if s.name == f"sparklio_{name}" and labels.items() <= s.labels.items()
        )
