"""A call that LangChain makes through an instrumented client of an SDK is told once, with the numbers of the SDK."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from events.bridges.anthropic import instrument as instrument_anthropic
from events.bridges.langchain import instrument as instrument_langchain
from events.bridges.openai import instrument as instrument_openai
from tests.support.langchain_models import SERVERS, agent, chat_model
from tests.support.openai_server import ChatRequest, OpenAIServer, Usage, calls_tool, fails, says, stalls
from tests.support.recorded_calls import Recorded, recorded_calls, sums_of

pytestmark = [pytest.mark.slow, pytest.mark.models("langchain", "langgraph", "langchain_openai", "langchain_anthropic")]

USAGE = Usage(prompt=100, completion=20, cached=60, reasoning=8)


@pytest.fixture(params=list(SERVERS))
def server(request: pytest.FixtureRequest) -> Iterator[OpenAIServer]:
    """Run a server of each protocol."""
    with SERVERS[request.param](says("Five words in this answer.", usage=USAGE)) as server:
        yield server


@pytest.fixture
def chat_server() -> Iterator[OpenAIServer]:
    """Run a server of Chat Completions."""
    with OpenAIServer(says(usage=USAGE)) as server:
        yield server


@pytest.fixture
def told() -> Iterator[Recorded]:
    """Record what is emitted while LangChain is instrumented."""
    with recorded_calls() as events, instrument_langchain(price=None):
        yield events


@pytest.fixture
def instrumented() -> Iterator[Callable[[Any], Any]]:
    """Return a function that instruments the clients of a model, and returns the model."""
    with ExitStack() as stack:

        def instrument(model: Any) -> Any:
            if hasattr(model, "root_client"):
                clients, bridge = (model.root_client, model.root_async_client), instrument_openai
            elif hasattr(model, "anthropic_api_url"):
                clients, bridge = (model._client, model._async_client), instrument_anthropic
            else:
                clients, bridge = (model.client._client, model.async_client._client), instrument_openai
            for client in clients:
                stack.enter_context(bridge(client, price=None))
            return model

        yield instrument


def invoke(model: Any) -> None:
    model.invoke("hi")


def ainvoke(model: Any) -> None:
    asyncio.run(model.ainvoke("hi"))


def stream(model: Any) -> None:
    list(model.stream("hi"))


def astream(model: Any) -> None:
    async def read() -> None:
        async for _ in model.astream("hi"):
            pass

    asyncio.run(read())


def batch(model: Any) -> None:
    model.batch(["hi"] * 20)


def abatch(model: Any) -> None:
    asyncio.run(model.abatch(["hi"] * 20))


def prompts() -> list[Any]:
    from langchain_core.messages import HumanMessage

    return [[HumanMessage("hi")]] * 3


def generate(model: Any) -> None:
    model.generate(prompts())


def agenerate(model: Any) -> None:
    asyncio.run(model.agenerate(prompts()))


def streams(model: Any) -> None:
    async def read() -> None:
        async for _ in model.astream("hi"):
            pass

    async def ask() -> None:
        await asyncio.gather(*[read() for _ in range(20)])

    asyncio.run(ask())


WAYS = (invoke, ainvoke, stream, astream, batch, abatch, generate, agenerate, streams)


@pytest.mark.filterwarnings("ignore:Unexpected type for token usage")
@pytest.mark.parametrize("ask", WAYS)
def test_each_call_is_told_once(
    ask: Callable[[Any], None], server: OpenAIServer, told: Recorded, instrumented: Callable[[Any], Any]
) -> None:
    ask(instrumented(chat_model(server)))
    assert told.sums() == sums_of(server.tally)
    assert told.is_paired()
    assert {attempt.status_code for attempt in told.attempts} == {200}
    assert {(call.model, call.provider) for call in told.calls} == {
        (call.model, call.provider) for call in told.started
    }


def test_retries_of_the_sdk_are_attempts(
    chat_server: OpenAIServer, told: Recorded, instrumented: Callable[[Any], Any]
) -> None:
    chat_server.behaviour = [fails(429, retry_after=0.01), fails(500), says(usage=USAGE)]
    invoke(instrumented(chat_model(chat_server, max_retries=3)))
    assert [attempt.status_code for attempt in told.attempts] == [429, 500, 200]
    assert [(call.status, call.attempts) for call in told.calls] == [("success", 3)]
    assert told.is_paired()


@pytest.mark.parametrize("ask", [invoke, ainvoke, stream, astream])
def test_an_error_is_told_once(
    ask: Callable[[Any], None], server: OpenAIServer, told: Recorded, instrumented: Callable[[Any], Any]
) -> None:
    server.behaviour = fails(429)
    with pytest.raises(Exception, match="scripted failure"):
        ask(instrumented(chat_model(server)))
    assert [(call.status, call.error_type) for call in told.calls] == [("error", "rate_limited")]
    assert told.is_paired()


@pytest.mark.parametrize("streamed", [False, True])
def test_a_call_that_is_cancelled_is_told_once(
    streamed: bool, server: OpenAIServer, told: Recorded, instrumented: Callable[[Any], Any]
) -> None:
    server.behaviour = stalls()
    model = instrumented(chat_model(server))

    async def ask() -> None:
        if not streamed:
            await model.ainvoke("hi")
            return
        async for _ in model.astream("hi"):
            pass

    async def leave() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await ask()

    asyncio.run(leave())
    assert [call.status for call in told.calls] == ["cancelled"]
    assert told.is_paired()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_stream_that_its_reader_leaves_is_told_once(
    asynchronous: bool, server: OpenAIServer, told: Recorded, instrumented: Callable[[Any], Any]
) -> None:
    server.behaviour = says("a b c d e f g h", usage=USAGE, stall_after=6)
    model = instrumented(chat_model(server))
    if asynchronous:

        async def read() -> None:
            chunks = model.astream("hi")
            async for chunk in chunks:
                if chunk.content:
                    break
            await chunks.aclose()

        asyncio.run(read())
    else:
        chunks = model.stream("hi")
        next(chunk for chunk in chunks if chunk.content)
        chunks.close()
        del chunks
    assert [call.status for call in told.calls] == ["cancelled"]
    assert told.is_paired()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_agent_has_the_calls_of_the_sdk(
    asynchronous: bool, chat_server: OpenAIServer, told: Recorded, instrumented: Callable[[Any], Any]
) -> None:
    def ask_sdk(text: str) -> str:
        """Ask the model by the SDK itself."""
        answer = model.root_client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": text}]
        )
        return str(answer.choices[0].message.content)

    model = instrumented(chat_model(chat_server))
    chat_server.behaviour = [calls_tool("ask_sdk", {"text": "x"}, usage=USAGE), says(usage=USAGE), says(usage=USAGE)]
    runnable = agent(chat_server, "asking", [ask_sdk], model=model)
    question = {"messages": [("human", "hi")]}
    if asynchronous:
        asyncio.run(runnable.ainvoke(question))
    else:
        runnable.invoke(question)
    assert [call.agent_name for call in told.calls] == ["asking"] * 3
    assert [(run.llm_calls, run.prompt_tokens, run.tool_calls) for run in told.agents] == [(3, 300, 1)]
    assert told.sums() == sums_of(chat_server.tally)
    assert told.is_paired()


class CompletionsServer(OpenAIServer):
    """OpenAI's Completions (https://platform.openai.com/docs/api-reference/completions)."""

    def parse_request(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> ChatRequest | None:
        if path != "/v1/completions":
            return None
        return ChatRequest(body["model"], body["prompt"], bool(body.get("stream")), body, headers)

    def response_body(self, reply: Any, number: int) -> dict[str, Any]:
        choice = {"text": reply.text, "logprobs": None, "finish_reason": "stop"}
        prompts = self.requests[-1].messages
        count = len(prompts) if isinstance(prompts, list) else 1
        body = {"id": f"cmpl-{number}", "object": "text_completion", "created": 1_700_000_000, "model": reply.model}
        return {
            **body,
            "choices": [{"index": index, **choice} for index in range(count)],
            "usage": reply.usage.as_json(),
        }


@pytest.mark.parametrize("taken", [False, True])
@pytest.mark.parametrize("ask", [invoke, ainvoke, batch, abatch])
def test_a_completion_of_a_text_is_told_once(
    ask: Callable[[Any], None], taken: bool, told: Recorded, instrumented: Callable[[Any], Any]
) -> None:
    from langchain_openai import OpenAI

    with CompletionsServer(says(usage=USAGE)) as server:
        model = OpenAI(base_url=server.base_url, api_key="none", max_retries=0)
        ask(instrumented(model) if taken else model)
        assert told.sums() == sums_of(server.tally)
    assert told.is_paired()
    assert {call.operation for call in told.calls} == {"text_completion"}
