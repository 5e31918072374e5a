"""Two hundred concurrent runs on a model that fails, stalls, streams and disconnects: the metrics agree with it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import ModelRequestParameters, create_async_httpx2_client
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from app.agents import AGENTS
from app.database import Database
from app.llm.factory import LLM, with_limits_and_retries
from app.llm.probe import probe_http
from app.llm.providers import build_provider_model
from app.workflows.definitions import WORKFLOWS
from app.workflows.service import WorkflowService
from events.bridges.pydantic_ai import instrument
from metrics import CATALOGUE, subscribe
from tests.support.in_process_studio import InProcessStudio, NewSettings, RecordedEvents, matching_reply
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, Tally, fails, says, stalls
from tests.support.samples import samples, summed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

# How many runs of each kind; the server and the model read the kind of a request from its brand's name.
RUNS = {
    "plain": 40,
    "streamed": 40,
    "retried": 20,
    "broken": 20,
    "limited": 20,
    "stalling": 20,
    "leaving": 20,
    "streamed-leaving": 20,
}
ERRORS = {
    "broken": ("error", "provider_5xx"),
    "limited": ("error", "rate_limited"),
    "stalling": ("timeout", "timeout"),
    "leaving": ("error", "connection"),
    "streamed-leaving": ("error", "connection"),
}
TYPES = ("product_content", "brand_identity")  # one step after the other: a run that fails asks once
STEPS = 3
MODEL = "gpt-4o-mini"  # one whose price is known: USD a million tokens, read and written
READ, WRITTEN = 0.15, 0.6


def kind_of(text: str) -> str:
    """Return the kind of run that a request belongs to."""
    return text.partition("Brand: ")[2].partition(" ")[0]


def behaviour() -> Callable[[ChatRequest], Reply]:
    """Return a behaviour that replies by the kind of run, and fails the first request of each run to be retried."""
    seen: set[str] = set()

    def behave(request: ChatRequest) -> Reply:
        prompt = request.messages[-1]["content"]
        brand = prompt.partition("Brand: ")[2].partition("\n")[0]
        if kind_of(prompt) == "retried" and brand not in seen:
            seen.add(brand)
            return fails(503)
        return reply_to(kind_of(prompt), request)

    return behave


def reply_to(kind: str, request: ChatRequest) -> Reply:
    """Return the reply to a request of a kind of run."""
    match kind:
        case "broken":
            return fails(500)
        case "limited":
            return fails(429)
        case "stalling":
            return stalls()
        case "leaving":
            return replace(says(), usage=None, break_after=40)
        case "streamed-leaving":
            return replace(says(), usage=None, break_after=3)
        case _:
            return matching_reply(request)


class StreamingModel(WrapperModel):
    """A model that streams the answers of those runs that are to be streamed."""

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        if not kind_of(str(messages[0].parts[-1].content)).startswith("streamed"):  # type: ignore[union-attr]  # a prompt
            return await self.wrapped.request(messages, model_settings, model_request_parameters)
        async with self.wrapped.request_stream(messages, model_settings, model_request_parameters) as stream:
            async for _ in stream:
                pass
        return stream.get()


@pytest.fixture
def registry() -> Iterator[CollectorRegistry]:
    made = CollectorRegistry()
    with subscribe(
        CATALOGUE, made, namespace="sparklio", label_values={"workflow_type": WORKFLOWS, "agent_name": AGENTS}
    ):
        yield made


async def test_every_count_agrees_with_the_model_server(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings, registry: CollectorRegistry
) -> None:
    """All may run at the same time; those that fail do so at their first call."""
    model.behaviour = behaviour()
    settings = new_settings(concurrency=200, llm_timeout=20.0, llm_retries=1)
    async with AsyncExitStack() as parts:
        database = Database(settings)
        parts.push_async_callback(database.close)
        await database.upgrade()
        client = await parts.enter_async_context(create_async_httpx2_client())
        asked = StreamingModel(
            with_limits_and_retries(
                instrument(build_provider_model(f"openai:{MODEL}", model.base_url, client)), settings
            )
        )
        llm = LLM(asked, MODEL, lambda: probe_http(model.base_url), parts, [MODEL])
        service = WorkflowService(database, llm, settings)
        await service.start()
        parts.push_async_callback(service.stop)
        studio = InProcessStudio(service, database)
        kinds = [kind for kind, times in RUNS.items() for _ in range(times)]
        run_ids = await asyncio.gather(
            *(studio.submit(TYPES[place % 2], brand=f"{kind} {place}") for place, kind in enumerate(kinds))
        )
        runs = [await studio.wait_for_end(run_id, within=120) for run_id in run_ids]

    scraped = [sample for family in registry.collect() for sample in family.samples]

    def counts(name: str, *by: str) -> dict[tuple[str, ...], float]:
        return summed(scraped, name, *by)

    good = RUNS["plain"] + RUNS["streamed"] + RUNS["retried"]
    bad = sum(RUNS.values()) - good
    assert Counter(run.status for run in runs) == {"completed": good, "failed": bad}

    # The server's counts against what was planned, then the metrics against the server's counts.
    tally = model.tally
    retries = {kind: RUNS[kind] for kind in ("retried", "broken", "limited", "leaving")}  # one each
    assert tally.requests == good * STEPS + bad + sum(retries.values())
    assert tally.streams == RUNS["streamed"] * STEPS + RUNS["streamed-leaving"]
    refused = {500: 2 * RUNS["broken"], 429: 2 * RUNS["limited"], 503: RUNS["retried"]}
    assert tally.statuses == {**refused, 200: tally.requests - sum(refused.values())}
    assert (tally.completed, tally.disconnects) == (good * STEPS, RUNS["stalling"])

    calls = tally.requests - sum(retries.values())
    assert counts("agent_llm_calls_sum") == counts("workflow_llm_calls_sum") == {(): calls}
    check_calls(counts, tally, calls, retries)
    assert counts("agent_executions_total", "status") == {
        ("success",): tally.completed,
        ("timeout",): tally.disconnects,
        ("error",): calls - tally.completed - tally.disconnects,
    }
    errors: Counter[tuple[str, ...]] = Counter()
    for kind, (_, error_type) in ERRORS.items():
        errors[error_type,] += RUNS[kind]
    assert counts("agent_errors_total", "error_type") == counts("llm_errors_total", "error_type") == errors
    for family in ("llm_tokens_total", "agent_tokens_total"):
        assert counts(family, "token_type") == {
            ("prompt",): tally.prompt_tokens,
            ("completion",): tally.completion_tokens,
        }
    bill = pytest.approx((tally.prompt_tokens * READ + tally.completion_tokens * WRITTEN) / 1e6, rel=1e-12)
    assert counts("llm_cost_usd_total", "source") == {("price_table",): bill}
    assert counts("agent_cost_usd_total") == {(): bill}
    assert counts("workflow_cost_usd_total", "outcome") == {("useful",): bill}
    assert counts("workflow_tokens_total", "outcome") == {("useful",): tally.prompt_tokens + tally.completion_tokens}
    assert counts("workflow_steps_total", "status") == counts("agent_executions_total", "status")
    assert counts("agent_review_verdicts_total", "verdict") == {("approved",): good}
    assert counts("context_size_tokens_count") == {(): calls}

    assert counts("workflows_started_total") == counts("workflows_total") == {(): len(run_ids)}
    for gauge in ("active_workflows", "active_agent_executions", "llm_active_requests"):
        assert list(samples(registry, gauge))
        assert counts(gauge) == {}
    for fault in ("receiver_failures_total", "label_overflows_total", "dropped_values_total"):
        assert counts(fault) == {}


def check_calls(
    counts: Callable[..., dict[tuple[str, ...], float]], tally: Tally, calls: int, retries: dict[str, int]
) -> None:
    """Compare the metrics of calls, and of the attempts at them, with the server's counts."""
    assert counts("llm_requests_total", "status") == {
        ("success",): tally.completed,
        ("timeout",): tally.disconnects,
        ("error",): calls - tally.completed - tally.disconnects,
    }
    attempts = {
        ("success",): tally.completed,
        ("timeout",): tally.disconnects,
        ("rate_limited",): tally.statuses[429],
        ("error",): tally.requests - tally.completed - tally.disconnects - tally.statuses[429],
    }
    for family in ("llm_attempts_total", "llm_attempt_duration_seconds_count"):
        assert counts(family, "outcome") == attempts
    assert counts("llm_retries_total", "reason") == {
        ("provider_5xx",): retries["retried"] + retries["broken"],
        ("rate_limited",): retries["limited"],
        ("connection",): retries["leaving"],
    }
    assert counts("llm_backoff_seconds_total")[()] > 0
    assert counts("llm_request_duration_seconds_count") == {(): tally.completed}
    assert counts("llm_finish_reasons_total") == {(): tally.completed}
    # An answer that broke off had a first token too; some words of it were read, and no tokens were reported.
    assert counts("llm_time_to_first_token_seconds_count") == {(): RUNS["streamed"] * STEPS + RUNS["streamed-leaving"]}
    assert counts("llm_usage_missing_total") == {(): RUNS["streamed-leaving"]}
    assert counts("llm_tokens_estimated_total", "token_type")["completion",] > 0
    assert counts("llm_unpriced_requests_total") == counts("llm_fallbacks_total") == {}
