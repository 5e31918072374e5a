"""The metrics agree with what each provider bills: pydantic-ai's own adapters over HTTP, bodies in documented formats.

After an intended change run ``UPDATE_GOLDEN=1 pytest tests/backend/llm/test_provider_usage.py`` and read the difference.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from pydantic_ai.exceptions import AgentRunError
from pydantic_ai.messages import ModelMessage, ModelRequest, UserPromptPart
from pydantic_ai.models import Model, ModelRequestParameters, create_async_httpx2_client

from app.llm.output_schema import matches_schema
from app.llm.prices import price
from app.llm.retries import RetryingModel
from app.llm.timeouts import TimeoutModel
from events.bridges.pydantic_ai import instrument, record_response_headers
from metrics import CATALOGUE, subscribe
from tests.support.model_adapters import SERVERS, model_at
from tests.support.openai_server import Behaviour, Reply, Usage, fails, says, sends

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).parent / "golden"
PROMPT: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Say something of forty bytes, or so.")])]
LIMIT = 10.0


FULL = Usage(prompt=1000, completion=200, cached=600)
# fmt: off
REFUSALS: dict[str, dict[str, Reply]] = {
    "openai": {
        "429": fails(429, "Rate limit reached", retry_after=1, type="requests", code="rate_limit_exceeded"),
        "5xx": fails(500, "The server had an error", type="server_error"),
        "too long": fails(400, "This model's maximum context length is 128000 tokens.", type="invalid_request_error", code="context_length_exceeded"),
        "filtered": fails(400, "Invalid prompt", type="invalid_request_error", code="content_policy_violation"),
    },
    "anthropic": {
        "429": sends(b'{"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}', status=429),
        "5xx": sends(b'{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}', status=529),
        "too long": sends(b'{"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 250000 tokens > 200000 maximum"}}', status=400),
        "filtered": says("", finish="refusal", usage=Usage(10, 1)),
    },
    "gemini": {
        "429": sends(b'{"error": {"code": 429, "message": "Resource has been exhausted", "status": "RESOURCE_EXHAUSTED"}}', status=429),
        "5xx": sends(b'{"error": {"code": 503, "message": "The model is overloaded", "status": "UNAVAILABLE"}}', status=503),
        "too long": sends(b'{"error": {"code": 400, "message": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", "status": "INVALID_ARGUMENT"}}', status=400),
        "filtered": says("", finish="SAFETY", usage=Usage(10, 0)),
    },
    "ollama": {
        "429": fails(429, "too many requests", type="rate_limit_error"),
        "5xx": fails(503, "server busy, please try again. maximum pending requests exceeded", type="api_error"),
        "too long": fails(400, "the prompt is too long: 5000 tokens exceeds the context length of 4096", type="invalid_request_error"),
        "filtered": says("", finish="content_filter"),
    },
}
# fmt: on


LIMITS: dict[str, dict[str, str]] = {
    "openai": {"x-ratelimit-remaining-requests": "9999", "x-ratelimit-remaining-tokens": "40"},
    "anthropic": {"anthropic-ratelimit-requests-remaining": "49", "anthropic-ratelimit-tokens-remaining": "80000"},
    "gemini": {},
    "ollama": {"x-ratelimit-remaining-requests": "9.2e18"},
}


def with_retry_after(answer: Reply) -> Reply:
    return Reply(
        status=answer.status,
        usage=None,
        body=answer.body,
        headers={"Content-Type": "application/json", "Retry-After": "1"},
    )


def scenarios(provider: str) -> dict[str, tuple[Behaviour, str]]:
    """Return the behaviours of a provider, each with the kind of request: plain, streamed, or left half-way."""
    refusals = REFUSALS[provider]
    return {
        "plain": (says(headers=LIMITS[provider]), "plain"),
        "streamed": (says(), "streamed"),
        "cached": (says(usage=Usage(1000, 200, cached=600, cache_write=100)), "plain"),
        "cached and streamed": (says(usage=FULL), "streamed"),
        "reasoning": (says(usage=Usage(1000, 200, reasoning=150)), "plain"),
        "no usage": (says(usage=None), "plain"),
        "prompt not counted": (says(usage=Usage(0, 7)), "plain"),
        "tools of the provider's": (says(usage=Usage(1000, 200, tool_prompt=300)), "plain"),
        "aborted half-way": (says("one two three four five six", stall_after=5), "left"),
        "broken half-way": (says("one two three four five six", break_after=5), "streamed"),
        "429 with Retry-After": ([with_retry_after(refusals["429"]), says()], "plain"),
        "5xx": (refusals["5xx"], "plain"),
        "context too long": (refusals["too long"], "plain"),
        "content filtered": (refusals["filtered"], "plain"),
        "rubbish": (sends(b"<html>Bad gateway</html>", "text/html"), "plain"),
    }


ONLY = {"prompt not counted": {"ollama"}, "tools of the provider's": {"gemini"}, "no usage": {*SERVERS} - {"anthropic"}}
"""Scenarios of some providers only: Ollama omits a prompt that is wholly cached; Anthropic always counts."""

CASES = [(who, name) for who in SERVERS for name in scenarios(who) if who in ONLY.get(name, SERVERS)]


@pytest.fixture
async def parts() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def ask(model: Model, how: str) -> None:
    settings = model.settings
    if how == "plain":
        await model.request(PROMPT, settings, ModelRequestParameters())
        return
    async with model.request_stream(PROMPT, settings, ModelRequestParameters()) as stream:
        async for _ in stream:
            if how == "left":
                return


def moved_samples(registry: CollectorRegistry) -> str:
    """Return the samples that are not 0, in order, without those that measure time.

    Whether the time between tokens was seen depends on how fast this process reads.
    """
    lines = sorted(generate_latest(registry).decode().splitlines())
    timed = r"sparklio_llm_\w*seconds(_bucket|_sum|_total|_created)|\w*_created|sparklio_llm_time_per_output_token"
    return "".join(
        f"{line}\n" for line in lines if not (line.startswith("#") or re.match(timed, line) or line.endswith(" 0.0"))
    )


ROWS = [row for row in CATALOGUE if row.name.startswith(("llm_", "label_overflows", "dropped_values"))]


@pytest.mark.parametrize(("provider", "name"), CASES)
async def test_the_metrics_are_what_the_provider_bills(provider: str, name: str, parts: AsyncExitStack) -> None:
    behaviour, how = scenarios(provider)[name]
    server = parts.enter_context(SERVERS[provider]())
    server.behaviour = behaviour
    client = await parts.enter_async_context(create_async_httpx2_client())
    client.event_hooks = {"response": [record_response_headers]}
    retrying = RetryingModel(instrument(model_at(provider, server, client)), 1, LIMIT)
    model = instrument(TimeoutModel(retrying, LIMIT), price=price, is_valid_output=matches_schema)
    registry = CollectorRegistry()
    with subscribe(ROWS, registry, namespace="sparklio"):
        with suppress(AgentRunError):
            await ask(model, how)
        text = moved_samples(registry)
        waited = registry.get_sample_value("sparklio_llm_backoff_seconds_total", {"provider": model.system}) or 0
    if "Retry-After" in name:
        assert 1 <= waited < 2
    golden = GOLDEN / f"{provider}.json"
    expected = json.loads(golden.read_text()) if golden.exists() else {}
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(json.dumps({**expected, name: text.splitlines()}, indent=1) + "\n")
    else:
        assert text.splitlines() == expected[name]
