"""A scenario with faults under a real Prometheus: two lives of a studio with a scripted model, and who pays for it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import time
from typing import Any

import pytest

from tests.support.in_process_studio import matching_reply, rejecting
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, Usage, fails, stalls
from tests.support.prometheus import Prometheus
from tests.support.studio import StudioProcess
from tests.support.wait import wait_until
from tools.monitor import programs

RECIPE = Path(__file__).parents[2] / "docs" / "who-pays.md"
LIMITS = {
    "x-ratelimit-limit-requests": "1000",
    "x-ratelimit-remaining-requests": "985",
    "x-ratelimit-limit-tokens": "100000",
    "x-ratelimit-remaining-tokens": "90000",
}
SERVE = """
import sys
from prometheus_client import start_http_server
start_http_server(int(sys.argv[1]), addr="127.0.0.1", registry=registry)
print("ready", flush=True)
sys.stdin.read()
"""
Result = dict[tuple[str, ...], float]
Query = Callable[[str, float | None], Result]


@dataclass
class Scenario:
    """What happened, and a function that evaluates PromQL as of a moment (Unix time), now where None."""

    query: Query
    busy_at: float
    """The moment at which both slots are taken, and three runs wait."""
    ended_at: float


class Script:
    """The replies of the model, by the brand that a prompt names."""

    def __init__(self) -> None:
        self.limited = 1  # requests that are refused at first

    def __call__(self, request: ChatRequest) -> Reply:
        """Return the reply to a request."""
        text = json.dumps(request.body)
        if "Unpaid" in text:
            return fails(401, "invalid key", code="invalid_api_key")
        if "Broken" in text and request.model == "gpt-4o-mini":
            return fails(500)
        if "Limited" in text and self.limited:
            self.limited -= 1
            return fails(429, retry_after=0, code="rate_limit_exceeded")
        if "Endless" in text and "verdict" in text:
            return stalls()
        reply = matching_reply(request)
        if "Refused" in text:
            reply = rejecting(reply)
        return replace(reply, usage=Usage(1000, 200, cached=400), headers=LIMITS)


@contextmanager
def tenants(directory: Path, port: int, sparklio_path: Path) -> Iterator[None]:
    """Run the recipe of the documents for who pays, word by word, and serve what it counts."""
    blocks = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", RECIPE.read_text(), re.DOTALL))
    (directory / "billing.py").write_text(blocks["billing.py"])
    (directory / "application.py").write_text(blocks["application.py"] + SERVE)
    process = subprocess.Popen(
        [sys.executable, "application.py", str(port)],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(sparklio_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        process.communicate("")


@contextmanager
def prometheus(directory: Path, port: int, targets: dict[str, str]) -> Iterator[Query]:
    """Run a Prometheus that scrapes these targets, by job, every second; yield what evaluates PromQL."""
    jobs = [{"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()]
    config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs}
    (directory / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    with programs.prometheus(directory, port) as program, Prometheus.at(program.url) as running:

        def query(expression: str, at: float | None = None) -> Result:
            """Return the values by those of the labels, in the order of the labels' names."""
            found = running.query(expression, at)
            return {tuple(value for _, value in labels): number for labels, number in found.items()}

        yield query


@pytest.fixture(scope="module")  # one has tests of it, and it would scrape on until a worker's end
def scenario(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int], sparklio_path: Path
) -> Iterator[Scenario]:
    folder = tmp_path_factory.mktemp
    port, biller = free_port(), free_port()
    targets = {"sparklio-backend": f"127.0.0.1:{port}", "acme": f"127.0.0.1:{biller}"}
    directory = folder("studio")
    with (
        OpenAIServer(Script(), models=("gpt-4o-mini", "gpt-4o")) as model,
        tenants(folder("tenants"), biller, sparklio_path),
        prometheus(folder("prometheus"), free_port(), targets) as query,
    ):
        settings: dict[str, Any] = {
            "llm": "openai:gpt-4o-mini",
            "llm_fallbacks": "openai:gpt-4o",
            "llm_base_url": model.base_url,
            "llm_prices": "openai",
            "llm_retries": 1,
            "llm_window": 4096,
            "run_time_limit": 30,
            "sweep_interval": 0.3,
            "health_interval": 1,
            "concurrency": 2,
        }
        yield Scenario(query, *live(directory, port, settings, query))


def live(directory: Path, port: int, settings: dict[str, Any], query: Query) -> tuple[float, float]:
    """Have a studio live twice; return the moments at which it was busy, and at which all of it is scraped."""

    def wait_for(*expressions: str) -> float:
        """Wait until none of these has an empty result, and return a moment as of which that is so."""

        def moment() -> float | None:
            now = time()
            return now if all(query(expression, now) for expression in expressions) else None

        found: float = wait_until(moment, within=90, every=0.2)
        return found

    with StudioProcess(directory, port, revision="first", **settings) as studio:
        wait_for("sparklio_workflow_slots == 2")
        # Each one is scraped before the next, as a series that begins with an event shows no increase by it.
        brands = ["Acme", "Acme", "Refused", "Limited", "Broken", "Broken", "Unpaid"]
        for number, brand in enumerate(brands, start=1):
            run = studio.wait_for_end(studio.submit("product_content", brand=brand))
            assert run["status"] == ("failed" if brand == "Unpaid" else "completed"), run
            wait_for(f"sum(sparklio_workflows_total) == {number}")
        endless = studio.submit("product_content", brand="Endless")
        wait_until(lambda: len(studio.run(endless)["steps"]) == 1, within=60)
        wait_for("sum(sparklio_workflows_started_total) == 8")
        studio.stop(signal.SIGKILL)
    with StudioProcess(directory, port, revision="second", **settings) as studio:
        other = studio.submit("product_content", brand="Endless")
        wait_until(lambda: len(studio.run(other)["steps"]) == 1, within=60)
        waiting = [studio.submit("campaign", brand="Acme") for _ in range(3)]
        busy_at = wait_for("sum(sparklio_workflows_queued) == 3", "sum(sparklio_active_workflows) == 2")
        assert studio.call("POST", "/api/v1/runs/{run_id}/cancel", run_id=other).status_code == 200
        assert all(studio.wait_for_end(run_id)["status"] == "completed" for run_id in waiting)
        failed = studio.wait_for_end(endless, within=120)
        assert (failed["status"], "time limit" in failed["error"]) == ("failed", True)
        assert studio.wait_for_end(studio.submit("product_content", brand="Acme"))["status"] == "completed"
        # Several scrapes of the end, so that rates have seen all of it.
        ended_for_a_while = "min_over_time(sum(sparklio_workflows_total)[3s:1s]) == 6"
        return busy_at, wait_for(ended_for_a_while, "min(up) == 1", "min(sparklio_component_up) == 1")
