"""The studio's spans under the trace that a run is asked for in, and the exemplars that a Prometheus has of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.support import studio_with_spans
from tests.support.in_process_studio import matching_reply
from tests.support.openai_server import OpenAIServer
from tests.support.postgresql import create_database, running_postgresql
from tests.support.studio import BRIEF, StudioProcess
from tests.support.wait import wait_until
from tools.monitor import programs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CANARY = "a canary that no span may have"


@dataclass
class TracedLife:
    """What was seen of a studio that traces, in which one run was asked for by a client that traces too."""

    run: dict[str, Any]
    openmetrics: str
    stored: list[dict[str, Any]]
    """The exemplars of the latency of models in a Prometheus; none without one."""
    spans: list[dict[str, Any]]
    written: str

    def parent_of(self, span: dict[str, Any]) -> str | None:
        """Return the name of the span around one."""
        return {each["span_id"]: each["name"] for each in self.spans}.get(span["parent_id"])


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> TracedLife:
    folder = tmp_path_factory.mktemp("traced")
    with OpenAIServer(matching_reply) as models:
        studio = StudioProcess(
            folder, free_port(), llm="openai:gpt-4o-mini", llm_base_url=models.base_url, traces="true"
        )
        studio.environment["OPENAI_API_KEY"] = "none"
        studio.module = studio_with_spans.__name__
        with studio:
            asked = studio.client.post(
                "/api/v1/workflows/product_content/runs",
                json={**BRIEF, "brand": CANARY},
                headers={"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"},
            )
            run = studio.wait_for_end(asked.json()["run_id"])
            studio.client.get("/api/v1/runs", params={"brand": CANARY})
            studio.client.get(f"/api/v1/runs/{CANARY}")
            openmetrics = studio.client.get("/metrics", headers={"accept": "application/openmetrics-text"}).text
            stored = exemplars_in_prometheus(folder, free_port(), studio.url.removeprefix("http://"))
    written = (folder / studio_with_spans.FILE).read_text()
    return TracedLife(run, openmetrics, stored, [json.loads(line) for line in written.splitlines()], written)


def exemplars_in_prometheus(folder: Path, port: int, target: str) -> list[dict[str, Any]]:
    """Return the exemplars of the latency of models that a Prometheus has of a target; none where there is none."""
    if programs.find_program("prometheus") is None:
        return []
    (folder / "prometheus.yml").write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "1s"},
                "scrape_configs": [{"job_name": "studio", "static_configs": [{"targets": [target]}]}],
            }
        )
    )
    found: list[dict[str, Any]] = []

    def are_found() -> bool:
        query = {"query": "sparklio_llm_request_duration_seconds_bucket", "start": "0", "end": "9999999999"}
        answer = httpx.get(f"{program.url}/api/v1/query_exemplars", params=query).json()
        assert answer["status"] == "success", answer
        found[:] = [exemplar for series in answer["data"] for exemplar in series["exemplars"]]
        return bool(found)

    with programs.prometheus(folder, port, "--enable-feature=exemplar-storage") as program:
        wait_until(are_found, within=30, every=0.2)
    return found


def test_the_run_hangs_under_the_trace_that_it_was_asked_for_in(life: TracedLife) -> None:
    assert life.run["status"] == "completed"
    of_the_run = [span for span in life.spans if span["trace_id"] == TRACE_ID]
    parents = {(span["name"], life.parent_of(span)) for span in of_the_run}
    posted = "POST /api/v1/workflows/{workflow_type}/runs"
    agents = {name for name, _ in parents if name.startswith("invoke_agent ")}
    assert len(agents) >= 2
    assert parents >= {
        (posted, None),
        ("invoke_workflow product_content", posted),
        *((agent, "invoke_workflow product_content") for agent in agents),
    }
    calls = [span for span in of_the_run if span["name"] == "chat gpt-4o-mini"]
    assert len(calls) == life.run["llm_calls"]
    assert {life.parent_of(call) for call in calls} == agents
    assert all(call["attributes"]["gen_ai.usage.input_tokens"] for call in calls)
    [request] = [span for span in of_the_run if span["name"] == posted]
    assert (request["parent_id"], request["attributes"]["http.response.status_code"]) == (SPAN_ID, 202)


def test_times_are_inside_of_those_around(life: TracedLife) -> None:
    by_id = {span["span_id"]: span for span in life.spans}
    slack = 2_000_000  # nanoseconds: of what is told at its end alone, the start is by another clock
    for span in life.spans:
        around = by_id.get(span["parent_id"])
        if around is not None and around["name"].startswith(("invoke_", "chat ")):
            assert around["start"] - slack <= span["start"] <= span["end"] <= around["end"] + slack, span


def test_nothing_that_somebody_wrote_is_in_a_span(life: TracedLife) -> None:
    assert CANARY not in life.written
    assert quote(CANARY) not in life.written
    assert "/metrics" not in life.written  # each scrape would be a trace
    assert str(BRIEF["product"]) not in life.written
    assert "Hear the music" not in life.written  # what the model answers


def test_histograms_name_the_trace(life: TracedLife) -> None:
    latency = [
        line for line in life.openmetrics.splitlines() if line.startswith("sparklio_llm_request_duration_seconds_b")
    ]
    assert any(f'trace_id="{TRACE_ID}"}}' in line for line in latency)


@pytest.mark.needs("prometheus")
def test_a_prometheus_stores_the_exemplars(life: TracedLife) -> None:
    assert TRACE_ID in {exemplar["labels"]["trace_id"] for exemplar in life.stored}


def test_each_of_several_workers_shows_the_exemplars_of_all(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Without an SDK as well: the ids are those that requests come with."""
    sent = [f"{number:032x}" for number in range(1, 31)]
    with running_postgresql() as server, OpenAIServer(matching_reply) as models:
        url = create_database(server)
        studio = StudioProcess(
            tmp_path,
            free_port(),
            workers=2,
            database_url=url,
            llm="openai:gpt-4o-mini",
            llm_base_url=models.base_url,
            traces="true",
        )
        studio.environment["OPENAI_API_KEY"] = "none"
        with studio:
            for trace_id in sent:  # each by a connection of its own, which any worker may take
                httpx.get(f"{studio.url}/api/v1/runs", headers={"traceparent": f"00-{trace_id}-{SPAN_ID}-01"})
            scrapes = [
                httpx.get(f"{studio.url}/metrics", headers={"accept": "application/openmetrics-text"}).text
                for _ in range(10)
            ]
    shown = [
        {line for line in text.splitlines() if 'endpoint="/api/v1/runs"' in line and "trace_id" in line}
        for text in scrapes
    ]
    assert all(shown)
    assert all(each == shown[0] for each in shown)
    assert {line.split('trace_id="')[1][:32] for line in shown[0]} <= {*sent}
