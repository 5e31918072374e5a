"""What goes wrong is told: to the run's reader, to the operator, and to nobody who must not know."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.in_process_studio import matching_reply
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, fails, sends, stalls
from tests.support.outages import locked
from tests.support.studio import StudioProcess
from tests.support.wait import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SECRET = "sk-this-must-not-be-seen"


@pytest.fixture
def studio_on(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], StudioProcess]:
    """Make studios that ask a model server of the test's."""
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)

    def studio(base_url: str) -> StudioProcess:
        return StudioProcess(
            tmp_path, free_port(), llm="openai:gpt-4o-mini", llm_base_url=base_url, llm_prices="openai"
        )

    return studio


def counted(studio: StudioProcess) -> dict[str, float]:
    """Read the ends of runs, by status, without those at zero."""
    ends = {
        s.labels["status"]: s.value
        for s in studio.scrape("workflows_total")
        if s.name == "sparklio_workflows_total" and s.value
    }
    assert studio.total("active_workflows") == 0
    return ends


def test_a_model_that_can_not_be_reached_fails_the_run_and_not_the_server(
    studio_on: Callable[[str], StudioProcess], free_port: Callable[[], int]
) -> None:
    with studio_on(f"http://127.0.0.1:{free_port()}/v1") as studio:
        run = studio.wait_for_end(studio.submit("product_content"))
        assert run["status"] == "failed"
        assert "gpt-4o-mini" in run["error"]
        assert counted(studio) == {"failed": 1}
        assert studio.total("agent_executions_total", agent_name="copywriter", status="error") == 1
        health = studio.call("GET", "/health")
        assert (health.status_code, health.json()["model"]["status"]) == (503, "unavailable")
        assert studio.call("GET", "/health/live").status_code == 200
        seen = studio.output + health.text + str(run) + studio.call("GET", "/metrics").text
    assert SECRET not in seen


@pytest.mark.parametrize(
    "answer",
    [sends(b"<html>Bad gateway</html>"), sends(b'{"choices": []}'), fails(500), fails(429, retry_after=0.1)],
    ids=["no json", "no choices", "server error", "rate limited"],
)
def test_rubbish_fails_the_run_with_a_reason(studio_on: Callable[[str], StudioProcess], answer: Reply) -> None:
    with OpenAIServer(answer) as server, studio_on(server.base_url) as studio:
        run = studio.wait_for_end(studio.submit("product_content"))
        assert run["status"] == "failed"
        assert run["error"]
        assert counted(studio) == {"failed": 1}
        server.behaviour = matching_reply
        assert studio.wait_for_end(studio.submit("product_content"))["status"] == "completed"
        assert counted(studio) == {"failed": 1, "completed": 1}


def test_a_run_cancelled_half_way_stops_its_model_call(studio_on: Callable[[str], StudioProcess]) -> None:
    with OpenAIServer(stalls()) as server, studio_on(server.base_url) as studio:
        run_id = studio.submit("product_content")
        wait_until(lambda: server.requests)
        assert studio.total("active_workflows", workflow_type="product_content") == 1
        studio.call("POST", "/api/v1/runs/{run_id}/cancel", run_id=run_id)
        wait_until(lambda: server.tally.disconnects == 1)
        assert studio.wait_for_end(run_id)["status"] == "cancelled"
        assert counted(studio) == {"cancelled": 1}
        assert studio.total("agent_executions_total", status="cancelled") == 1


def test_a_run_killed_half_way_is_counted_once_and_billed_whole(studio_on: Callable[[str], StudioProcess]) -> None:
    """The tokens stored of a run that two processes performed are those that the model server counted."""
    asked_before = []

    def first_then_stall(request: ChatRequest) -> Reply:
        asked_before.append(request)
        return matching_reply(request) if len(asked_before) == 1 else stalls()

    with OpenAIServer(first_then_stall) as server:
        with studio_on(server.base_url) as first:
            run_id = first.submit("product_content")
            wait_until(lambda: len(asked_before) == 2)
            first.stop(signal.SIGKILL)
        server.behaviour = matching_reply
        with studio_on(server.base_url) as second:
            run = second.wait_for_end(run_id)
            assert (run["status"], counted(second)) == ("completed", {"completed": 1})
            assert run["tokens"]["prompt"] == server.tally.prompt_tokens
            assert run["tokens"]["completion"] == server.tally.completion_tokens
            assert second.total("llm_tokens_total", token_type="prompt") < run["tokens"]["prompt"]
            bill = (0.15 * server.tally.prompt_tokens + 0.6 * server.tally.completion_tokens) / 1e6
            assert run["cost"] == pytest.approx(bill)
            assert 0 < second.total("llm_cost_usd_total", model="gpt-4o-mini") < bill


def test_a_call_that_was_paid_for_is_billed_although_it_could_not_be_stored(
    studio_on: Callable[[str], StudioProcess],
) -> None:
    """Another program holds the lock of the database when the answer comes, and then the studio is killed."""
    with OpenAIServer(matching_reply) as server:
        with studio_on(server.base_url) as first:
            server.behaviour = lambda request: replace(matching_reply(request), delay=0.5)
            run_id = first.submit("product_content")
            wait_until(lambda: server.requests)
            with locked(first.directory / "data/studio.db"):
                journal = first.directory / "data/executors"
                wait_until(lambda: [path for path in journal.glob("*.usage.jsonl") if path.stat().st_size])
                first.stop(signal.SIGKILL)
        with studio_on(server.base_url) as second:
            run = second.wait_for_end(run_id)
            assert (run["status"], counted(second)) == ("completed", {"completed": 1})
            assert run["tokens"]["prompt"] == server.tally.prompt_tokens
            assert run["tokens"]["completion"] == server.tally.completion_tokens
            assert second.total("workflow_tokens_total") == sum(
                run["tokens"][kind] for kind in ("prompt", "completion")
            )


def test_nothing_that_a_model_is_told_or_says_is_logged_at_any_level(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drivers of models and databases log whole requests and statements at level debug."""
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with (
        OpenAIServer(matching_reply) as server,
        StudioProcess(
            tmp_path, free_port(), llm="openai:gpt-4o-mini", llm_base_url=server.base_url, log_level="debug"
        ) as studio,
    ):
        run = studio.wait_for_end(studio.submit("product_content", product="zither polish", audience="zitherists"))
        assert run["status"] == "completed"
        studio.stop()
        said = studio.output
    assert " DEBUG " in said
    assert [quoted for quoted in (SECRET, "zither", "Hear the music", "You are") if quoted in said] == []
