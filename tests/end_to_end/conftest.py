"""One life of a studio, shared by the tests that hold its numbers against what others know of it."""

from __future__ import annotations

import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from dbos import DBOSClient
from prometheus_client.samples import Sample

from tests.end_to_end.scraped_life import scraped, scraped_by
from tests.support.samples import summed
from tests.support.studio import WORKFLOWS, StudioProcess
from tests.support.wait import wait_until

__all__ = ["Life", "life", "scraped", "scraped_by"]

LONG = "music and quiet on one charge for those who travel far and listen long, "
TOO_MUCH = {  # for the embedded model's window
    "product": (LONG * 3)[:190],
    "audience": (LONG * 3)[:190],
    "features": [f"{number} hours of {LONG}"[:100] for number in range(10)],
}


@dataclass
class Life:
    """What is known of a studio's second life, which took up a run of the first."""

    studio: StudioProcess
    runs: list[dict[str, Any]]
    interrupted: str
    before: Counter[tuple[str, str]]  # steps that the first life stored, by agent and status
    tokens_before: tuple[int, int]
    stored_before: list[dict[str, Any]]  # the same steps, whole
    first: list[Sample]  # the last that the first life showed
    active: dict[str, float]
    samples: list[Sample]
    text: str

    def counts(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Samples of a name by these labels, without those at zero."""
        return summed(self.samples, name, *labels)

    @property
    def steps(self) -> list[dict[str, Any]]:
        return [step for run in self.runs for step in run["steps"]]


def stored_steps(directory: Path) -> list[dict[str, Any]]:
    """Read what a dead studio left, past its API."""
    with closing(sqlite3.connect(directory / "data" / "studio.db")) as database:
        database.row_factory = sqlite3.Row
        rows = database.execute("SELECT workflow_type, steps.* FROM steps JOIN runs ON runs.id = run_id").fetchall()
    return [dict(row) for row in rows]


@contextmanager
def rival(directory: Path) -> Iterator[Callable[[str], object]]:
    """Take runs over as another process does, which holds their own to be gone."""
    client = DBOSClient(
        system_database_url=f"sqlite:///{directory / 'data' / 'studio.workflows.db'}",
        dbos_system_schema="dbos",
        application_name="sparklio",
    )
    try:
        yield lambda run_id: client.resume_workflow(run_id, queue_name="runs")
    finally:
        client.destroy()


@pytest.fixture(scope="session")
def life(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Life]:
    directory = tmp_path_factory.mktemp("studio")
    with StudioProcess(directory, free_port()) as first:
        interrupted = first.submit("product_content")
        wait_until(lambda: any(step["status"] == "success" for step in first.run(interrupted)["steps"]))
        shown = first.scrape()
        first.stop(signal.SIGKILL)
    stored = stored_steps(directory)
    before = Counter((step["agent_name"], step["status"]) for step in stored)
    tokens_before = (sum(step["prompt_tokens"] for step in stored), sum(step["completion_tokens"] for step in stored))

    with StudioProcess(directory, free_port()) as studio, rival(directory) as take_over:
        for _ in range(5):
            assert studio.call("GET", "/health").status_code == 200
        active: dict[str, float] = {}
        runs = [interrupted]
        for workflow_type in WORKFLOWS:
            more = TOO_MUCH if workflow_type == "content_review" else {}
            runs.append(studio.submit(workflow_type, brand=f"Brand of {workflow_type}", **more))
            active[workflow_type] = wait_until(partial(studio.total, "active_workflows", workflow_type=workflow_type))
            studio.wait_for_end(runs[-1])
        runs.append(studio.submit("brand_identity"))
        wait_until(partial(studio.total, "active_workflows", workflow_type="brand_identity"))
        take_over(runs[-1])
        wait_until(partial(studio.total, "events_total", signal="workflow_released"))
        studio.wait_for_end(runs[-1])
        runs.append(studio.submit("campaign"))
        wait_until(partial(studio.total, "llm_active_requests"))
        assert studio.call("POST", "/api/v1/runs/{run_id}/cancel", run_id=runs[-1]).status_code == 200
        studio.call("POST", "/api/v1/workflows/{workflow_type}/runs", workflow_type="unheard_of", json={})
        studio.call("GET", "/api/v1/runs/{run_id}", run_id="no-such-run")
        studio.client.get("/nowhere/at/all")
        studio.tally["GET", "unmatched", 404] += 1
        ended = [studio.wait_for_end(run_id) for run_id in runs]
        text = studio.call("GET", "/metrics").text
        yield Life(studio, ended, interrupted, before, tokens_before, stored, shown, active, studio.scrape(), text)
