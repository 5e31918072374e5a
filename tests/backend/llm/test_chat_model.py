"""The embedded server is asked as pydantic-ai asks servers of OpenAI's protocol, without the SDK of OpenAI."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Literal

import httpx2
import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, exceptions
from pydantic_ai.models import Model
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider
from pydantic_ai.settings import ModelSettings

from app.llm.embedded.chat_model import LlamaModel
from app.llm.embedded.model import EMBEDDED_PROFILE, TEXT_SETTINGS
from app.llm.embedded.remote import RemoteEmbeddedServer
from tests.support.openai_server import OpenAIServer, Reply, fails, says, sends
from tests.support.wait import until

SETTINGS = ModelSettings(max_tokens=60, temperature=0.3, top_p=0.9, seed=7, timeout=20)


class Verdict(BaseModel):
    """A decision."""

    verdict: Literal["approved", "rejected"]


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@asynccontextmanager
async def ours(server: OpenAIServer) -> AsyncIterator[LlamaModel]:
    async with httpx2.AsyncClient(trust_env=False) as client:
        address = server.base_url.removesuffix("/v1")
        yield LlamaModel("small", RemoteEmbeddedServer(address, "key"), client, EMBEDDED_PROFILE)


@asynccontextmanager
async def theirs(server: OpenAIServer) -> AsyncIterator[OpenAIChatModel]:
    protocol = OpenAIModelProfile(
        openai_supports_strict_tool_definition=False, openai_chat_supports_max_completion_tokens=False
    )
    profile: Any = {**EMBEDDED_PROFILE, **protocol}
    async with httpx2.AsyncClient(trust_env=False) as client:
        provider = OpenAICompatibleProvider("embedded", base_url=server.base_url, api_key="key", http_client=client)
        yield OpenAIChatModel("small", provider=provider, profile=profile)


async def talk(model: Model) -> list[Any]:
    """Hold a conversation in which each kind of message comes; return what was said, and how it was counted."""
    agent = Agent(model, system_prompt="You judge texts.", instructions="Be brief.", model_settings=SETTINGS)
    first = await run(agent, "Hello.", model_settings=TEXT_SETTINGS)
    second = await run(agent, "And this?", message_history=first.all_messages())
    judge = Agent(model, output_type=Verdict, model_settings=SETTINGS, retries=1)
    third = await run(judge, "Judge: Buy it!")
    usages = [
        (each.usage.requests, each.usage.input_tokens, each.usage.output_tokens) for each in (first, second, third)
    ]
    return [first.output, second.output, third.output, *usages]


async def run(agent: Agent[None, Any], prompt: str, **options: Any) -> Any:
    async with agent.run_stream_events(prompt, **options) as events:
        async for event in events:
            if event.event_kind == "agent_run_result":
                return event.result
    raise AssertionError("the run has no result")


async def test_what_is_asked_and_read_is_what_the_sdk_asks_and_reads(server: OpenAIServer) -> None:
    answers = [says("Hello!"), says("That too."), says('{"verdict": "maybe"}'), says('{"verdict": "approved"}')]
    told, asked = [], []
    for open_model in (theirs, ours):
        server.behaviour, server.requests = answers, []
        async with open_model(server) as model:
            told.append(await talk(model))
        asked.append([request.body for request in server.requests])
        assert {request.headers["authorization"] for request in server.requests} == {"Bearer key"}
    assert len(asked[0]) == 4
    assert asked[1] == asked[0]
    assert told[1] == told[0]


EVENTS = "text/event-stream"
FAILURES = [
    (fails(401, "no key"), exceptions.ModelAuthenticationError),
    (fails(400, "the prompt is too long"), exceptions.ModelRequestRejectedError),
    (fails(503, "loading model"), exceptions.ModelUnavailableError),
    (fails(500, "out of memory"), exceptions.ModelServerError),
    (sends(b"<html>", "text/html", 502), exceptions.ModelServerError),
    (
        sends(b'data: {"error": {"code": 500, "message": "no slot"}}\n\n', "text/event-stream"),
        exceptions.ModelServerError,
    ),
    (sends(b'error: {"code": 400, "message": "no"}\n\n', "text/event-stream"), exceptions.ModelRequestRejectedError),
    (sends(b"data: no json\n\n", "text/event-stream"), exceptions.UnexpectedModelBehavior),
    (replace(says(), break_after=2), exceptions.ModelConnectionError),
]


@pytest.mark.parametrize(("reply", "expected"), FAILURES)
async def test_a_failure_is_of_the_class_that_says_whether_it_passes(
    server: OpenAIServer, reply: Reply, expected: type[Exception]
) -> None:
    server.behaviour = reply
    async with ours(server) as model:
        with pytest.raises(expected):
            await Agent(model).run("Hello.")


async def test_a_server_that_is_away_is_a_failed_connection(server: OpenAIServer) -> None:
    async with ours(server) as model:
        server.__exit__(None, None, None)
        with pytest.raises(exceptions.ModelConnectionError):
            await Agent(model).run("Hello.")
        server.__enter__()


async def test_what_is_no_text_is_refused_before_anything_is_sent(server: OpenAIServer) -> None:
    async with ours(server) as model:
        with pytest.raises(exceptions.UserError):
            await Agent(model).run(["Look.", BinaryContent(b"\x89PNG", media_type="image/png")])
    assert server.requests == []


async def test_a_stream_that_is_left_is_closed(server: OpenAIServer) -> None:
    server.behaviour = replace(says("one two three four"), stall_after=3)
    async with ours(server) as model, Agent(model).run_stream("Hello.") as stream:
        async for _ in stream.stream_text(debounce_by=None):
            break
        await stream.cancel()
    await until(lambda: server.tally.disconnects == 1)


@pytest.mark.slow
def test_the_studio_with_its_own_model_imports_no_sdk_of_a_provider() -> None:
    script = (
        "import sys, app.main; print(*sorted({'openai', 'anthropic', 'google.genai', 'groq'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout.split() == []
