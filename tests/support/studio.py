"""A studio in a process of its own, started as ``make run`` does, and a client that counts its requests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from metrics.diagnostics.scrape_client import parse_samples
from tests.support.preloaded import PreloadedProcess, modules_of_studio, run_preloaded
from tests.support.wait import wait_until

READY = "ready at "
WORKFLOWS = ("product_content", "brand_identity", "content_review", "campaign")
ENDED = {"completed", "failed", "cancelled", "abandoned"}
BRIEF = {
    "brand": "Acme Audio",
    "product": "wireless earbuds",
    "features": ["noise cancelling"],
    "audience": "commuters",
}


def environment_of(**settings: object) -> dict[str, str]:
    """Return an environment with these settings of the studio and no others."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("SPARKLIO_")}
    own = {f"SPARKLIO_{name.upper()}": str(value) for name, value in settings.items()}
    return {**others, **own, "PYTHONUNBUFFERED": "1"}


def run_studio(directory: Path, *arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run a studio that ends by itself, and return its exit code and what it has written."""
    environment = environment_of(**settings)
    return run_preloaded(
        "-m", "app", *arguments, modules=modules_of_studio(environment), cwd=directory, env=environment, timeout=60
    )


class StudioProcess:
    """A studio's process, with its data in ``directory``, where another one can resume its runs.

    Attributes:
        url: The base URL.
        directory: The working directory of the process.
        environment: The environment of the process; may be changed before `start`.
        preloaded: Whether it is forked from a process that has imported the studio, and its workers from it, which
            saves three seconds each, or executed, as variables that Python or the dynamic linker reads need it; may be
            changed before `start`.
        module: What it runs as its main module; may be changed before `start`.
        lines: The lines that it has printed so far.
        tally: How many responses came to `call`, by method, route template and status code.
        client: The HTTP client.
    """

    def __init__(self, directory: Path, port: int, **settings: object) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.directory = directory
        self.environment = environment_of(port=port, **settings)
        self.preloaded = True
        self.module = "app"
        self.process: PreloadedProcess | subprocess.Popen[bytes]
        self.lines: list[str] = []
        self.tally: Counter[tuple[str, str, int]] = Counter()
        self.client = httpx.Client(base_url=self.url, timeout=30.0)

    def start(self, within: float = 100.0) -> Self:
        """Launch the process and wait until it prints that it is ready."""
        self.launch()
        wait_until(lambda: any(READY in line for line in self.lines) or self.process.poll() is not None, within)
        assert self.process.poll() is None, f"it did not start:\n{self.output}"
        return self

    def launch(self) -> None:
        """Create the process."""
        read, write = os.pipe()
        self._output = os.fdopen(read, encoding="utf-8")
        command = ["-m", self.module]
        if self.preloaded:
            self.process = PreloadedProcess(
                *command,
                modules=modules_of_studio(self.environment),
                cwd=self.directory,
                env=self.environment,
                output=(write, write),
            )
        else:
            self.process = subprocess.Popen(
                [sys.executable, *command], cwd=self.directory, env=self.environment, stdout=write, stderr=write
            )
        os.close(write)
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with self._output as stream:
            self.lines.extend(iter(stream.readline, ""))

    @property
    def output(self) -> str:
        """The text that the process has printed so far."""
        return "".join(self.lines)

    def stop(self, signal_number: signal.Signals = signal.SIGTERM, within: float = 15.0) -> int:
        """Send the process a signal, wait for its end and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        code = self.process.wait(within)
        self._reader.join(5)
        return code

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:  # an interrupt too: `__exit__` is not called then
            self.client.close()
            if hasattr(self, "process"):
                self.stop(signal.SIGKILL)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.stop(signal.SIGKILL)
            raise
        finally:
            if error is not None:
                print(self.output)  # noqa: T201  # shown with the failure

    def call(
        self, method: str, template: str, *, json: Any = None, headers: Any = None, **values: Any
    ) -> httpx.Response:
        """Make a request by its route's template, count the response in ``tally``, and return it."""
        response = self.client.request(method, template.format(**values), json=json, headers=headers)
        if template != "/metrics":
            self.tally[method, template, response.status_code] += 1
        return response

    def submit(self, workflow_type: str, **brief: Any) -> str:
        """Start a run and return its id."""
        template = "/api/v1/workflows/{workflow_type}/runs"
        response = self.call("POST", template, json={**BRIEF, **brief}, workflow_type=workflow_type)
        assert response.status_code == 202, response.text
        run_id: str = response.json()["run_id"]
        return run_id

    def run(self, run_id: str) -> dict[str, Any]:
        """Return a run as the API shows it."""
        response = self.call("GET", "/api/v1/runs/{run_id}", run_id=run_id)
        assert response.status_code == 200, response.text
        run: dict[str, Any] = response.json()
        return run

    def wait_for_end(self, run_id: str, within: float = 60.0) -> dict[str, Any]:
        """Wait until a run has ended and return it as the API shows it: each question is work for the studio too."""

        def ended() -> dict[str, Any] | None:
            return run if (run := self.run(run_id))["status"] in ENDED else None

        run: dict[str, Any] = wait_until(ended, within, every=0.1)
        return run

    def scrape(self, name: str = "") -> list[Sample]:
        """Return every sample of ``/metrics``, or those of a name alone, which takes a hundredth of the time."""
        selected = f"?name[]=sparklio_{name}" if name else ""
        text = self.client.get(f"/metrics{selected}").text
        if not name:
            return [*parse_samples(text, self.url)]  # each family once where scrapes have the same
        return [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of a name (without ``sparklio_``) whose labels include these."""
        return sum(
            sample.value
            for sample in self.scrape(name)
            if sample.name == f"sparklio_{name}" and labels.items() <= sample.labels.items()
        )
