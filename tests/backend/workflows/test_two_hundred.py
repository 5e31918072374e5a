"""Two hundred runs at once on a model that fails, stalls, streams and hangs up: each count is the server's own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
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
from app.llm.models import LLM, kept, reach, remote
from app.workflows.catalogue import WORKFLOWS
from app.workflows.studio import Studio
from events.bridges.pydantic_ai import observed
from metrics import CATALOGUE, subscribe
from tests.support.living_studio import Life, NewSettings, Told, suits
from tests.support.openai_server import Answer, Asked, OpenAIServer, fails, says, stalls
from tests.support.reading import samples

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

# How many runs of each kind; the brand's name tells the server and the model which kind a request belongs to.
RATES = {
    "plain": 50,
    "streamed": 50,
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


def kind_of(text: str) -> str:
    """Read which kind of run a request belongs to."""
    return text.partition("Brand: ")[2].partition(" ")[0]


def behave(asked: Asked) -> Answer:
    """Do what the kind of run wants."""
    match kind_of(asked.messages[-1]["content"]):
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
            return suits(asked)


class Streaming(WrapperModel):
    """Streams the answers of those runs that are to be streamed."""

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
    with subscribe(CATALOGUE, made, known={"workflow_type": WORKFLOWS, "agent_name": AGENTS}):
        yield made


async def test_every_count_is_the_servers_own(
    model: OpenAIServer, told: Told, new_settings: NewSettings, registry: CollectorRegistry
) -> None:
    """All may be under way at once; those that fail do so at their first call."""
    model.behaviour = behave
    settings = new_settings(concurrency=200, llm_timeout=20.0)
    async with AsyncExitStack() as parts:
        database = Database(settings)
        parts.push_async_callback(database.close)
        await database.upgrade()
        client = await parts.enter_async_context(create_async_httpx2_client())
        asked = Streaming(kept(observed(remote("openai:scripted", model.base_url, client)), settings))
        llm = LLM(asked, "scripted", lambda: reach(model.base_url), parts, ["scripted"])
        studio = Studio(database, llm, settings)
        await studio.start()
        parts.push_async_callback(studio.stop)
        life = Life(studio, database)
        kinds = [kind for kind, times in RATES.items() for _ in range(times)]
        run_ids = await asyncio.gather(
            *(life.submit(TYPES[place % 2], brand=f"{kind} {place}") for place, kind in enumerate(kinds))
        )
        runs = [await life.ended(run_id, within=120) for run_id in run_ids]

    def counts(name: str, *by: str) -> dict[tuple[str, ...], float]:
        found: dict[tuple[str, ...], float] = {}
        for labels, value in samples(registry, name):
            key = tuple(labels[label] for label in by)
            found[key] = found.get(key, 0) + value
        return {key: value for key, value in found.items() if value}

    good = RATES["plain"] + RATES["streamed"]
    bad = sum(RATES.values()) - good
    assert Counter(run.status for run in runs) == {"completed": good, "failed": bad}

    # The server's own books against what was planned, then the metrics against the server's books.
    tally = model.tally
    assert tally.requests == good * STEPS + bad
    assert tally.streams == RATES["streamed"] * STEPS + RATES["streamed-leaving"]
    assert tally.statuses == {500: RATES["broken"], 429: RATES["limited"], 200: tally.requests - 40}
    assert (tally.completed, tally.disconnects) == (good * STEPS, RATES["stalling"])

    assert counts("agent_llm_calls_sum") == counts("workflow_llm_calls_sum") == {(): tally.requests}
    assert counts("agent_executions_total", "status") == {
        ("success",): tally.completed,
        ("timeout",): tally.disconnects,
        ("error",): tally.requests - tally.completed - tally.disconnects,
    }
    errors: Counter[tuple[str, ...]] = Counter()
    for kind, (_, error_type) in ERRORS.items():
        errors[error_type,] += RATES[kind]
    assert counts("agent_errors_total", "error_type") == errors
    for family in ("llm_tokens_total", "agent_tokens_total"):
        assert counts(family, "token_type") == {
            ("prompt",): tally.prompt_tokens,
            ("completion",): tally.completion_tokens,
        }
    assert counts("workflow_tokens_total", "outcome") == {("useful",): tally.prompt_tokens + tally.completion_tokens}
    assert counts("workflow_steps_total", "status") == counts("agent_executions_total", "status")
    assert counts("agent_review_verdicts_total", "verdict") == {("approved",): good}
    assert counts("context_size_tokens_count") == {(): tally.requests}

    assert counts("workflows_started_total") == counts("workflows_total") == {(): len(run_ids)}
    for gauge in ("active_workflows", "active_agent_executions"):
        assert list(samples(registry, gauge))
        assert counts(gauge) == {}
    for fault in ("receiver_failures_total", "label_overflows_total", "dropped_values_total"):
        assert counts(fault) == {}
