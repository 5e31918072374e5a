"""A model of pydantic-ai whose client of an SDK is instrumented too: its calls are told once."""

from __future__ import annotations

import pytest

from events import agent_finished, agent_run
from events.bridges import openai
from events.bridges import pydantic_ai as pydantic_ai_bridge
from tests.events.bridges.sdk_clients.conftest import Told
from tests.support.openai_server import Usage, says
from tests.support.sdk_calls import CHAT, MODEL, ask

pytestmark = pytest.mark.slow  # SDKs take seconds to import


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_call_of_pydantic_ai_is_told_once_by_its_own_bridge(streamed: bool, told: Told) -> None:
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    with CHAT.server(says(usage=Usage(100, 20))) as server, agent_finished.captured() as finished:
        client = CHAT.client(server, is_async=True)
        openai.instrument(client)
        model = OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client))
        agent = Agent(pydantic_ai_bridge.instrument(model))
        with agent_run(agent_name="copywriter", task="slogan"):
            if streamed:
                async with agent.run_stream("Say something.") as result:
                    await result.get_output()
            else:
                await agent.run("Say something.")
        assert (told.call.prompt_tokens, told.call.completion_tokens) == (100, 20)
        assert len(told.attempts) == 1
        # The same client, asked without pydantic-ai, is told by this bridge.
        await ask(CHAT, client)
    assert len(told.called) == 2
    assert finished[0].llm_calls == 1


async def test_a_call_that_pydantic_ai_does_not_tell_is_told_by_this_bridge(told: Told) -> None:
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    with CHAT.server(says(usage=Usage(100, 20))) as server:
        client = CHAT.client(server, is_async=True)
        openai.instrument(client)
        model = OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client))
        await Agent(model).run("Say something.")
    assert told.call.prompt_tokens == 100
