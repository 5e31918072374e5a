"""With a tracer of the openai SDK and the bridge to OpenTelemetry beside it, each call is still told once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from events.bridges.openai import instrument
from events.bridges.opentelemetry import GenAISpanProcessor
from tests.events.bridges.openai_agents.conftest import Told
from tests.support.openai_server import OpenAIServer, calls_tool, fails, says

pytestmark = [pytest.mark.models("agents", "opentelemetry.sdk"), pytest.mark.slow]


@pytest.fixture
def _traced() -> Iterator[None]:
    """Have each client of the openai SDK make spans, which are emitted as events."""
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider()
    provider.add_span_processor(GenAISpanProcessor(price=None))
    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield
    instrumentor.uninstrument()
    provider.shutdown()


@pytest.mark.usefixtures("_traced")
@pytest.mark.parametrize("exact_too", [False, True])
async def test_each_call_is_told_once(exact_too: bool, sdk: Any, server: OpenAIServer, told: Told) -> None:
    import openai

    async def look_up(city: str) -> str:
        return f"rain in {city}"

    answers = [calls_tool("look_up", {"city": "Oslo"}), says()]
    server.behaviour = [*answers, *answers, fails(429)]
    client = openai.AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0)
    agent = sdk.Agent(
        "writer",
        model=sdk.OpenAIChatCompletionsModel("m", client),
        tools=[sdk.function_tool(look_up)],
        model_settings=sdk.ModelSettings(include_usage=True),
    )
    with instrument(client) if exact_too else nullcontext():
        await sdk.Runner.run(agent, "x")
        async for _ in sdk.Runner.run_streamed(agent, "x").stream_events():
            pass
        with pytest.raises(openai.RateLimitError):
            await sdk.Runner.run(agent, "x")
    assert [(call.model, call.agent_name, call.error_type) for call in told.calls] == [
        *[("m", "writer", None)] * 4,
        ("m", "writer", "rate_limited"),
    ]
    assert [call.call_id for call in told.calls] == [started.call_id for started in told.calls_started]
    assert told.tokens == (server.tally.prompt_tokens, server.tally.completion_tokens)
    assert [(each.agent_name, each.llm_calls, each.prompt_tokens) for each in told.agents] == [
        ("writer", 2, 22),
        ("writer", 2, 22),
        ("writer", 1, 0),
    ]
    assert [each.tool_name for each in told.tools] == ["look_up", "look_up"]
