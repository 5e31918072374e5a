"""With the bridge to LiteLLM beside it, each call of the SDK's model for that is told once, exactly."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from events.bridges.litellm import instrument
from tests.events.bridges.openai_agents.conftest import Told
from tests.support.openai_server import OpenAIServer, calls_tool, fails, says

pytestmark = [
    pytest.mark.models("agents", "litellm"),
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # those of LiteLLM, which are many
]


@pytest.mark.parametrize("exact_too", [False, True])
async def test_each_call_is_told_once(
    exact_too: bool, sdk: Any, server: OpenAIServer, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # it would be fetched as the library is imported
    import litellm
    from agents.extensions.models.litellm_model import LitellmModel

    async def look_up(city: str) -> str:
        return f"rain in {city}"

    answers = [calls_tool("look_up", {"city": "Oslo"}), says()]
    server.behaviour = [*answers, *answers, fails(401)]
    agent = sdk.Agent(
        "writer",
        model=LitellmModel("openai/m", base_url=server.base_url, api_key="none"),
        tools=[sdk.function_tool(look_up)],
        model_settings=sdk.ModelSettings(include_usage=True),
    )
    with instrument() if exact_too else nullcontext():
        await sdk.Runner.run(agent, "x")
        async for _ in sdk.Runner.run_streamed(agent, "x").stream_events():
            pass
        with pytest.raises(litellm.AuthenticationError):
            await sdk.Runner.run(agent, "x")
    name = "m" if exact_too else "openai/m"
    assert [(call.model, call.agent_name, call.error_type) for call in told.calls] == [
        *[(name, "writer", None)] * 4,
        (name, "writer", "auth"),
    ]
    assert [call.streamed for call in told.calls] == [False, False, exact_too, exact_too, False]
    assert [call.call_id for call in told.calls] == [started.call_id for started in told.calls_started]
    assert told.tokens == (server.tally.prompt_tokens, server.tally.completion_tokens)
    assert [(each.agent_name, each.llm_calls, each.prompt_tokens) for each in told.agents] == [
        ("writer", 2, 22),
        ("writer", 2, 22),
        ("writer", 1, 0),
    ]
