"""Calls to models through LangChain are counted as their server counts them, whichever way they are made."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from events import agent_run
from tests.support.langchain_models import SERVERS, chat_model
from tests.support.openai_server import OpenAIServer, Usage, calls_tool, fails, says, sends, stalls
from tests.support.recorded_calls import Recorded, sums_of
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.models("langchain_core", "langchain_openai", "langchain_anthropic")]

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


def gathered(model: Any) -> None:
    async def ask() -> None:
        await asyncio.gather(*[model.ainvoke("hi") for _ in range(20)])

    asyncio.run(ask())


def threads(model: Any) -> None:
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(model.invoke, ["hi"] * 20))


def prompts() -> list[Any]:
    from langchain_core.messages import HumanMessage

    return [[HumanMessage("hi")]] * 3


def generate(model: Any) -> None:
    model.generate(prompts())


def agenerate(model: Any) -> None:
    asyncio.run(model.agenerate(prompts()))


WHOLE = (invoke, ainvoke, batch, abatch, gathered, threads, generate, agenerate)


@pytest.mark.filterwarnings("ignore:Unexpected type for token usage")  # of ChatOpenAI, which adds up what is None
@pytest.mark.parametrize("ask", WHOLE)
def test_whole_answers_have_the_tokens_that_the_server_sent(
    ask: Callable[[Any], None], server: OpenAIServer, told: Recorded
) -> None:
    ask(chat_model(server))
    assert told.sums() == sums_of(server.tally)
    assert told.is_paired()
    for call in told.calls:
        assert (call.status, call.finish_reason, call.usage_source) == ("success", "stop", "provider")
        assert (call.cache_read_tokens, call.reasoning_tokens, call.streamed) == (60, 8, False)
        assert call.response_model == call.model
        assert call.attempts == 1
        assert call.provider in {"openai-compatible", "anthropic-compatible"}


@pytest.mark.parametrize("ask", [stream, astream])
def test_streams_have_a_first_token_and_the_tokens_that_came_with_it(
    ask: Callable[[Any], None], server: OpenAIServer, told: Recorded
) -> None:
    server.behaviour = says("Five words in this answer.", usage=USAGE, pause=0.02)
    ask(chat_model(server))
    [call] = told.calls
    assert (call.status, call.finish_reason, call.streamed) == ("success", "stop", True)
    assert call.completion_tokens == 20
    assert call.time_to_first_token is not None
    assert call.duration is not None
    assert 0.02 < call.time_to_first_token < call.duration
    assert call.time_per_output_token is not None


@pytest.mark.parametrize("ask", [stream, astream])
def test_a_stream_without_usage_has_none(ask: Callable[[Any], None], chat_server: OpenAIServer, told: Recorded) -> None:
    ask(chat_model(chat_server, stream_usage=False))
    [call] = told.calls
    assert (call.status, call.usage_source, call.prompt_tokens) == ("success", "none", None)
    assert call.lacks_usage


@pytest.mark.parametrize(
    ("status", "error_type"),
    [(400, "invalid_request"), (401, "auth"), (404, "invalid_request"), (429, "rate_limited"), (500, "provider_5xx")],
)
@pytest.mark.parametrize("ask", [invoke, ainvoke, stream, astream])
def test_an_error_has_the_type_of_its_status(
    ask: Callable[[Any], None], status: int, error_type: str, server: OpenAIServer, told: Recorded
) -> None:
    server.behaviour = fails(status)
    with pytest.raises(Exception, match="scripted failure"):
        ask(chat_model(server))
    [call] = told.calls
    assert (call.status, call.error_type, call.usage_source) == ("error", error_type, "none")
    assert "scripted" not in repr(call)


def test_a_prompt_that_is_too_long_is_no_other_bad_request(chat_server: OpenAIServer, told: Recorded) -> None:
    chat_server.behaviour = fails(400, code="context_length_exceeded")
    with pytest.raises(Exception, match="scripted failure"):
        invoke(chat_model(chat_server))
    assert [call.error_type for call in told.calls] == ["context_length_exceeded"]


def test_retries_of_the_sdk_are_hidden_in_one_call(chat_server: OpenAIServer, told: Recorded) -> None:
    chat_server.behaviour = [fails(429, retry_after=0.01), fails(500), says(usage=USAGE)]
    invoke(chat_model(chat_server, max_retries=3))
    [call] = told.calls
    assert (call.status, call.attempts, call.prompt_tokens) == ("success", 1, 100)
    assert chat_server.tally.requests == 3


@pytest.mark.parametrize("ask", [invoke, ainvoke])
def test_a_timeout_is_one(ask: Callable[[Any], None], server: OpenAIServer, told: Recorded) -> None:
    server.behaviour = stalls()
    with pytest.raises(Exception, match=r"."):
        ask(chat_model(server, timeout=0.1))
    assert [(call.status, call.error_type) for call in told.calls] == [("timeout", "timeout")]


@pytest.mark.parametrize("by", ["cancel", "timeout", "wait_for"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_call_that_is_cancelled_is_told_at_once(
    by: str, streamed: bool, server: OpenAIServer, told: Recorded
) -> None:
    server.behaviour = stalls()
    model = chat_model(server)

    async def ask() -> None:
        if not streamed:
            await model.ainvoke("hi")
            return
        async for _ in model.astream("hi"):
            pass

    async def leave() -> None:
        with suppress(asyncio.CancelledError, TimeoutError):
            if by == "timeout":
                async with asyncio.timeout(0.1):
                    await ask()
            elif by == "wait_for":
                await asyncio.wait_for(ask(), 0.1)
            else:
                task = asyncio.create_task(ask())
                await asyncio.sleep(0.1)
                task.cancel()
                await task
        await asyncio.sleep(0)
        assert [(call.status, call.error_type) for call in told.calls] == [("cancelled", "cancelled")]

    asyncio.run(leave())
    assert told.is_paired()


def test_a_call_that_is_cancelled_is_told_with_its_task_where_a_tracer_keeps_its_run(
    chat_server: OpenAIServer, told: Recorded
) -> None:
    from langchain_core.tracers import BaseTracer

    class Keeping(BaseTracer):  # type: ignore[misc]  # it has no types here
        def _persist_run(self, run: Any) -> None:
            pass

    chat_server.behaviour = stalls()
    tracer, model = Keeping(), chat_model(chat_server)

    async def leave() -> None:
        for _ in range(2):
            with suppress(TimeoutError):
                await asyncio.wait_for(model.ainvoke("hi", {"callbacks": [tracer]}), 0.1)
        task = asyncio.create_task(model.ainvoke("hi", {"callbacks": [tracer]}))
        await until(lambda: len(told.started) == 3)
        task.cancel()
        await asyncio.wait([task])
        await until(lambda: len(told.calls) == 3, within=5)

    asyncio.run(leave())
    assert [call.status for call in told.calls] == ["cancelled"] * 3
    assert told.is_paired()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_stream_that_its_reader_leaves_is_cancelled(asynchronous: bool, server: OpenAIServer, told: Recorded) -> None:
    server.behaviour = says("a b c d e f g h", usage=USAGE, stall_after=6)
    model = chat_model(server)
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
    [call] = told.calls
    assert (call.status, call.error_type, call.finish_reason) == ("cancelled", "cancelled", None)
    assert call.time_to_first_token is not None


@pytest.mark.parametrize("ask", [stream, astream])
def test_a_stream_that_breaks_off_lost_its_connection(
    ask: Callable[[Any], None], server: OpenAIServer, told: Recorded
) -> None:
    server.behaviour = says("a b c d e f g h", usage=USAGE, break_after=6)
    with pytest.raises(Exception, match=r"."):
        ask(chat_model(server))
    assert [(call.status, call.error_type) for call in told.calls] == [("error", "connection")]


@pytest.mark.parametrize("ask", [stream, astream])
def test_a_stream_without_an_end_was_cut_off(
    ask: Callable[[Any], None], chat_server: OpenAIServer, told: Recorded
) -> None:
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choices = [{"index": 0, "delta": {"content": "a"}}]
    chat_server.behaviour = sends(
        f"data: {json.dumps({**chunk, 'choices': choices})}\n\n".encode(), "text/event-stream"
    )
    ask(chat_model(chat_server))
    assert [(call.status, call.error_type) for call in told.calls] == [("error", "invalid_response")]


def test_tool_calls_are_why_an_answer_ends(chat_server: OpenAIServer, told: Recorded) -> None:
    chat_server.behaviour = calls_tool("look_up", {"word": "x"}, usage=USAGE)
    model = chat_model(chat_server).bind_tools([look_up])
    invoke(model)
    stream(model)
    assert [call.finish_reason for call in told.calls] == ["tool_calls", "tool_calls"]
    assert told.calls[1].time_to_first_token is not None


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # of LangChain, which dumps a parsed answer
def test_structured_output_is_one_call(chat_server: OpenAIServer, told: Recorded) -> None:
    from pydantic import BaseModel

    class Person(BaseModel):
        name: str

    chat_server.behaviour = says('{"name": "Ada"}', usage=USAGE)
    model = chat_model(chat_server).with_structured_output(Person)
    assert model.invoke("who?") == Person(name="Ada")
    list(model.stream("who?"))
    assert told.sums() == sums_of(chat_server.tally)


def test_an_answer_from_the_cache_costs_no_tokens(chat_server: OpenAIServer, told: Recorded) -> None:
    from langchain_core.caches import InMemoryCache

    model = chat_model(chat_server, cache=InMemoryCache())
    invoke(model)
    invoke(model)
    assert [call.prompt_tokens for call in told.calls] == [100, 0]
    assert told.calls[1].cost == 0.0
    assert not told.calls[1].lacks_usage
    assert chat_server.tally.requests == 1


def test_a_call_that_a_model_makes_by_another_one_is_one(chat_server: OpenAIServer, told: Recorded) -> None:
    from langchain_core.language_models import BaseChatModel

    class Router(BaseChatModel):  # type: ignore[misc]  # it has no types here
        inner: Any

        @property
        def _llm_type(self) -> str:
            return "router"

        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **more: Any) -> Any:
            from langchain_core.outputs import ChatGeneration, ChatResult

            return ChatResult(generations=[ChatGeneration(message=self.inner.invoke(messages))])

    invoke(Router(inner=chat_model(chat_server)))
    assert told.sums() == sums_of(chat_server.tally)
    assert told.calls[0].provider == "router"


@pytest.mark.parametrize("in_a_task", [False, True])
def test_a_call_that_an_asynchronous_model_makes_by_another_one_is_one(
    in_a_task: bool, chat_server: OpenAIServer, told: Recorded
) -> None:
    """In its own task or in another one, while the first call is under way."""
    from langchain_core.language_models import BaseChatModel
    from langchain_core.outputs import ChatGeneration, ChatResult

    class Router(BaseChatModel):  # type: ignore[misc]  # it has no types here
        inner: Any

        @property
        def _llm_type(self) -> str:
            return "router"

        def _generate(self, *_: Any, **more: Any) -> Any:
            raise NotImplementedError

        async def _agenerate(self, messages: Any, stop: Any = None, run_manager: Any = None, **more: Any) -> Any:
            asked = self.inner.ainvoke(messages)
            message = await (asyncio.create_task(asked) if in_a_task else asked)
            return ChatResult(generations=[ChatGeneration(message=message)])

    ainvoke(Router(inner=chat_model(chat_server)))
    assert told.sums() == sums_of(chat_server.tally)
    assert told.calls[0].provider == "router"


def test_a_reader_may_ask_another_model_between_two_chunks(chat_server: OpenAIServer, told: Recorded) -> None:
    model = chat_model(chat_server)
    for number, _ in enumerate(model.stream("hi")):
        if number == 2:
            invoke(model)
    assert told.sums() == sums_of(chat_server.tally) == (2, 200, 40)


def test_calls_are_in_the_agent_that_makes_them(chat_server: OpenAIServer, told: Recorded) -> None:
    model = chat_model(chat_server)
    with agent_run(agent_name="mine"):
        invoke(model)
        batch(model)
        stream(model)
    abatch(model)
    assert [call.agent_name for call in told.calls] == ["mine"] * 22 + ["unknown"] * 20
    assert [(run.llm_calls, run.prompt_tokens) for run in told.agents] == [(22, 2200)]


def test_completions_of_texts_are_calls(told: Recorded) -> None:
    from langchain_core.language_models import FakeListLLM

    model = FakeListLLM(responses=["a"])
    invoke(model)
    ainvoke(model)
    stream(model)
    assert [(call.usage_source, call.operation) for call in told.calls] == [("none", "text_completion")] * 3
    assert told.is_paired()


def test_handlers_of_the_program_are_called_as_before(told: Recorded) -> None:
    from langchain_core.callbacks import AsyncCallbackHandler
    from langchain_core.language_models import FakeListLLM

    seen: list[str] = []

    class Theirs(AsyncCallbackHandler):  # type: ignore[misc]  # the same
        async def on_llm_start(self, *args: Any, **more: Any) -> None:
            seen.append("start")

        async def on_llm_end(self, *args: Any, **more: Any) -> None:
            seen.append("end")

    asyncio.run(FakeListLLM(responses=["a"]).ainvoke("hi", {"callbacks": [Theirs()]}))
    assert seen == ["start", "end"]
    assert len(told.calls) == 1


def test_copies_of_a_configuration_have_the_same_handler(told: Recorded) -> None:
    from copy import deepcopy
    from pickle import dumps, loads

    from events.bridges.langchain.callback_handler import handler

    assert deepcopy({"callbacks": [handler]}) == {"callbacks": [handler]}
    assert loads(dumps(handler)) is handler


def test_what_was_written_to_the_cache_of_the_provider_is_part_of_the_prompt(told: Recorded) -> None:
    with SERVERS["anthropic"](says(usage=Usage(prompt=100, completion=20, cached=60, cache_write=30))) as server:
        invoke(chat_model(server))
    [call] = told.calls
    assert (call.prompt_tokens, call.cache_read_tokens, call.cache_write_tokens) == (100, 60, 30)


def test_a_stream_of_anthropic_has_the_prompt_only_where_its_last_event_repeats_it(told: Recorded) -> None:
    with SERVERS["anthropic"](says(usage=USAGE)) as server:
        stream(chat_model(server))
    [call] = told.calls
    assert (call.prompt_tokens, call.completion_tokens, call.usage_source) == (None, 20, "provider")


def test_a_call_that_failed_half_way_hides_no_other(chat_server: OpenAIServer, told: Recorded) -> None:
    model = chat_model(chat_server)
    kept: list[Exception] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model), "_combine_llm_outputs", lambda *_: 1 / 0)
        for ask in (invoke, ainvoke):
            try:
                ask(model)
            except ZeroDivisionError as error:
                kept.append(error)
    invoke(model)
    assert [call.status for call in told.calls] == ["cancelled", "cancelled", "success"]
    assert len(kept) == 2  # tracebacks, which hold what was under way


def test_a_call_that_failed_half_way_hides_no_other_of_its_task(chat_server: OpenAIServer, told: Recorded) -> None:
    model = chat_model(chat_server)

    async def ask() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(model), "_combine_llm_outputs", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError) as kept:
                await model.ainvoke("hi")
        await model.ainvoke("hi")
        assert kept.tb  # which holds what was under way

    asyncio.run(ask())
    assert [call.status for call in told.calls] == ["cancelled", "success"]


def look_up(word: str) -> str:
    """Look up a word."""
    return word
