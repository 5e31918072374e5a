"""Twenty-four calls of all kinds at once: the metrics are what the server counted by itself.

OpenAI's real SDK, with its own retries, in front of a loopback server that keeps a tally of its requests and tokens.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import pytest
from prometheus_client import CollectorRegistry
from pydantic_ai import Agent
from pydantic_ai.exceptions import AgentRunError
from pydantic_ai.messages import ModelRequest, UserPromptPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from events import llm_attempted, llm_called
from events.bridges.pydantic_ai import instrument
from metrics import LLM, subscribe
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, Usage, calls_tool, fails, says, stalls
from tests.support.samples import samples
from tests.support.wait import until

pytestmark = pytest.mark.slow

MODEL = "gpt-4o-mini"
USD_PER_TOKEN = {"input": 0.15e-6, "cache_read": 0.075e-6, "output": 0.6e-6}
"""https://platform.openai.com/docs/pricing"""

LIMITED = fails(429, retry_after=0.02, code="rate_limit_exceeded")
DOWN = fails(503, retry_after=0.02)
ANSWER = says("one two three four", usage=Usage(prompt=120, completion=30))
CACHED = says("one two three four", usage=Usage(prompt=2000, completion=90, cached=1500, reasoning=40))
TOOL = calls_tool("double", {"number": 21}, usage=Usage(prompt=300, completion=15, cached=256))

# What the server sends, request by request, by the prompt.
# fmt: off
PLAIN = {
    "plain 1": [ANSWER], "plain 2": [CACHED], "plain 3": [ANSWER], "plain 4": [CACHED], "plain 5": [ANSWER],
    "plain, limited once": [LIMITED, ANSWER],
    "plain, down and limited": [DOWN, LIMITED, CACHED],
}
STREAMED = {
    "streamed 1": [ANSWER], "streamed 2": [CACHED], "streamed 3": [ANSWER], "streamed 4": [CACHED],
    "streamed, limited once": [LIMITED, ANSWER],
}
TOOLS = {  # two calls each
    "tool 1": [TOOL, ANSWER],
    "tool 2": [TOOL, CACHED],
    "tool, limited in between": [TOOL, LIMITED, ANSWER],
}
REFUSED, DOWN_FOR_GOOD, BROKEN = "refused", "down for good", "broken off"
LEFT, STALLED, WAITING = "left half-way", "cancelled under way", "cancelled while the SDK waits to retry"
UNSUCCESSFUL = {
    REFUSED: [fails(400)],
    DOWN_FOR_GOOD: [DOWN],  # three times: the SDK retries twice
    BROKEN: [says("one two three four", pause=0.01, break_after=4)],
    LEFT: [says("one two three four", stall_after=4)],
    STALLED: [stalls()],
    WAITING: [fails(429, retry_after=45)],
}
# fmt: on
GOOD, FAILING, ENDED_EARLY = 7 + 5 + 2 * 3, 3, 3


class ScriptedServer(OpenAIServer):
    """It answers by the prompt, so that calls at the same time have their own replies."""

    def __init__(self) -> None:
        super().__init__(self.answer)
        self.scripts = {
            prompt: list(replies) for prompt, replies in {**PLAIN, **STREAMED, **TOOLS, **UNSUCCESSFUL}.items()
        }
        self.prompts: Counter[str] = Counter()

    def answer(self, request: ChatRequest) -> Reply:
        prompt = next(each["content"] for each in request.messages if each["role"] == "user")
        self.prompts[prompt] += 1
        replies = self.scripts[prompt]
        return replies.pop(0) if len(replies) > 1 else replies[0]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


async def ask(model: Model, prompt: str) -> None:
    request = ModelRequest(parts=[UserPromptPart(prompt)])
    with suppress(AgentRunError):
        await model.request([request], None, ModelRequestParameters())


async def stream(model: Model, prompt: str, leave_after: int | None = None) -> None:
    request = ModelRequest(parts=[UserPromptPart(prompt)])
    with suppress(AgentRunError):
        async with model.request_stream([request], None, ModelRequestParameters()) as events:
            seen = 0
            async for _ in events:
                seen += 1
                if seen == leave_after:
                    break


async def use_tool(model: Model, prompt: str) -> None:
    agent = Agent(model)

    @agent.tool_plain
    def double(number: int) -> int:
        return 2 * number

    await agent.run(prompt)


async def run_all(model: Model, server: ScriptedServer, log: pytest.LogCaptureFixture) -> None:
    stalled, waiting = (asyncio.create_task(ask(model, prompt)) for prompt in (STALLED, WAITING))
    await asyncio.gather(
        *(ask(model, prompt) for prompt in (*PLAIN, REFUSED, DOWN_FOR_GOOD)),
        *(stream(model, prompt) for prompt in (*STREAMED, BROKEN)),
        stream(model, LEFT, leave_after=2),
        *(use_tool(model, prompt) for prompt in TOOLS),
    )
    await until(lambda: server.prompts[STALLED] == 1)
    await until(lambda: any("Retrying request" in each.message and "45" in each.message for each in log.records))
    for task in (stalled, waiting):
        task.cancel()
    await asyncio.gather(stalled, waiting, return_exceptions=True)


def totals(registry: CollectorRegistry, family: str, label: str) -> dict[str, float]:
    """Return the values of a family that are not 0, by one of its labels."""
    values: Counter[str] = Counter()
    for labels, value in samples(registry, family):
        assert labels.get("model", MODEL) == MODEL
        values[labels[label]] += value  # type: ignore[assignment]  # a counter of floats
    return {name: value for name, value in values.items() if value}


async def test_every_call_attempt_token_and_dollar_is_the_servers(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="openai")
    registry = CollectorRegistry()
    model = instrument(OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=server.base_url, api_key="none")))
    with (
        subscribe(LLM, registry, namespace="sparklio"),
        llm_called.captured() as calls,
        llm_attempted.captured() as attempts,
    ):
        await run_all(model, server, caplog)

        usages = [usage for _, usage in server.tally.usages]
        assert len(usages) == GOOD
        assert totals(registry, "llm_requests_total", "status") == {
            "success": GOOD, "error": FAILING, "cancelled": ENDED_EARLY,
        }  # fmt: skip
        assert totals(registry, "llm_errors_total", "error_type") == {
            "invalid_request": 1, "provider_5xx": 1, "connection": 1, "cancelled": ENDED_EARLY,
        }  # fmt: skip
        assert totals(registry, "llm_active_requests", "model") == {}

        assert totals(registry, "llm_tokens_total", "token_type") == {
            "prompt": server.tally.prompt_tokens, "completion": server.tally.completion_tokens,
        }  # fmt: skip
        assert totals(registry, "llm_token_details_total", "detail") == {
            "cache_read": sum(usage.cached for usage in usages), "reasoning": sum(usage.reasoning for usage in usages),
        }  # fmt: skip
        by_kind = {
            "input": sum(usage.prompt - usage.cached for usage in usages) * USD_PER_TOKEN["input"],
            "cache_read": sum(usage.cached for usage in usages) * USD_PER_TOKEN["cache_read"],
            "output": sum(usage.completion for usage in usages) * USD_PER_TOKEN["output"],
        }
        assert totals(registry, "llm_cost_by_kind_usd_total", "kind") == pytest.approx(by_kind)
        assert totals(registry, "llm_cost_usd_total", "source") == pytest.approx({"price_table": sum(by_kind.values())})

        seen_first_tokens = len(STREAMED) + len([BROKEN, LEFT])
        assert (
            totals(registry, "llm_time_to_first_token_seconds_count", "model")
            == {MODEL: seen_first_tokens}
            == {MODEL: 7}
        )

        assert len(attempts) == server.tally.requests == 24 + 7
        # The server had a status for the reply that it never sent.
        assert Counter(attempt.status_code or 200 for attempt in attempts) == server.tally.statuses
        assert totals(registry, "llm_attempts_total", "outcome") == {
            "success": GOOD,
            "rate_limited": server.tally.statuses[429],
            "error": server.tally.statuses[503] + len([REFUSED, BROKEN]),
            "cancelled": len([LEFT, STALLED]),
        }
        assert totals(registry, "llm_retries_total", "reason") == {"rate_limited": 5 - 1, "provider_5xx": 3}
        waited = totals(registry, "llm_backoff_seconds_total", "provider")["openai"]
    assert len(calls) == GOOD + FAILING + ENDED_EARLY == 24
    assert sum(call.attempts for call in calls) == len(attempts)
    assert waited == pytest.approx(sum(call.backoff or 0 for call in calls))
    assert waited >= 7 * 0.02
