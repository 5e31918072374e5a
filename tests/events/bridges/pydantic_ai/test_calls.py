"""The pydantic-ai bridge emits one event for each request to a model, with what the provider reports."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any, cast

import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelAPIError, ModelRequestTimeout, ModelTimeoutError
from pydantic_ai.messages import ModelMessage, ModelRequest, UserPromptPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

import events
from events import LLMCalled
from events.bridges.pydantic_ai import instrument
from tests.support.openai_server import OpenAIServer, Reply, Usage, calls_tool, fails, says, sends, stalls
from tests.support.wait import until

pytestmark = pytest.mark.slow

PROMPT: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Say something.")])]
PARAMETERS = ModelRequestParameters()
SECRET = "Xyzzy"  # a word that is nowhere else


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


MakeModel = Callable[..., Model]


@pytest.fixture
async def make_model(server: OpenAIServer) -> AsyncIterator[MakeModel]:
    """Yield a function that returns pydantic-ai's own OpenAI model, in front of the loopback server."""
    clients: list[AsyncOpenAI] = []

    def make(name: str = "gpt-4o-mini") -> Model:
        client = AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0)
        clients.append(client)
        return OpenAIChatModel(name, provider=OpenAIProvider(openai_client=client))

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
def llm_calls() -> Iterator[list[LLMCalled]]:
    with events.llm_called.captured() as captured:
        yield captured


async def plain(model: Model, settings: ModelSettings | None = None) -> None:
    await Agent(model).run("Say something.", model_settings=settings)


async def streamed(model: Model, settings: ModelSettings | None = None) -> None:
    async with Agent(model).run_stream("Say something.", model_settings=settings) as run:
        await run.get_output()


PLAIN_AND_STREAMED = pytest.mark.parametrize("send", [plain, streamed])


@PLAIN_AND_STREAMED
async def test_a_call_is_emitted_once_with_the_tokens_that_the_provider_counted(
    send: Any, server: OpenAIServer, make_model: MakeModel, llm_calls: list[LLMCalled]
) -> None:
    """Cached tokens are part of the prompt and reasoning is part of the completion, as they are billed."""
    server.behaviour = says(usage=Usage(prompt=100, completion=20, cached=60, reasoning=15))
    await send(instrument(make_model()))
    [call] = llm_calls
    assert (call.status, call.error, call.streamed) == ("success", "", send is streamed)
    assert (call.prompt_tokens, call.completion_tokens) == (100, 20)
    assert (call.prompt_tokens, call.completion_tokens) == (server.tally.prompt_tokens, server.tally.completion_tokens)
    assert call.provider == "openai"
    assert call.cost == pytest.approx(2.25e-05)
    assert call.cost_source == "price_table"
    assert 0 < (call.duration or 0.0) < 60


@PLAIN_AND_STREAMED
async def test_the_model_is_the_name_that_was_asked_for_whatever_the_answer_calls_itself(
    send: Any, server: OpenAIServer, make_model: MakeModel, llm_calls: list[LLMCalled]
) -> None:
    server.behaviour = says(model="gpt-4o-mini-2024-07-18")
    await send(instrument(make_model("gpt-4o-mini")))
    assert [(call.model, call.response_model) for call in llm_calls] == [("gpt-4o-mini", "gpt-4o-mini-2024-07-18")]


@PLAIN_AND_STREAMED
async def test_tokens_that_the_provider_did_not_count_are_unknown_and_not_zero(
    send: Any, server: OpenAIServer, make_model: MakeModel, llm_calls: list[LLMCalled]
) -> None:
    server.behaviour = says(usage=None)
    await send(instrument(make_model()))
    assert [(call.status, call.prompt_tokens, call.completion_tokens) for call in llm_calls] == [
        ("success", None, None)
    ]


@PLAIN_AND_STREAMED
@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (fails(429, retry_after=1), "ModelRateLimitError"),
        (fails(500), "ModelServerError"),
        (sends(b'{"choices": [', status=200), "ModelAPIError"),
        (sends(b"<html>Bad gateway</html>", "text/html"), "UnexpectedModelBehavior"),
        (sends(b"{}"), "UnexpectedModelBehavior"),
        (says("one two three four", break_after=3), "ModelConnectionError"),
    ],
    ids=["429", "500", "cut JSON", "HTML", "no completion", "connection lost half-way"],
)
async def test_a_call_that_fails_has_the_class_of_its_error(
    *, send: Any, behaviour: Reply, error: str, server: OpenAIServer, make_model: MakeModel, llm_calls: list[LLMCalled]
) -> None:
    if send is streamed and behaviour.status == 200 and behaviour.body is not None:
        error = "UnexpectedModelBehavior"  # an event stream that holds no event
    server.behaviour = behaviour
    with pytest.raises(Exception) as raised:  # noqa: PT011  # which one, the next lines say
        await send(instrument(make_model()))
    assert type(raised.value).__name__ == error
    assert [(call.status, call.error, call.streamed) for call in llm_calls] == [("error", error, send is streamed)]
    assert (llm_calls[0].model, llm_calls[0].prompt_tokens) == ("gpt-4o-mini", None)


@PLAIN_AND_STREAMED
@pytest.mark.parametrize(
    ("setting", "error"), [("timeout", ModelTimeoutError), ("request_timeout", ModelRequestTimeout)]
)
@pytest.mark.parametrize("behaviour", [stalls(), says("one two three", stall_after=2)], ids=["at once", "half-way"])
async def test_a_limit_in_the_models_settings_is_a_timeout(
    *,
    send: Any,
    setting: Any,
    error: type[Exception],
    behaviour: Reply,
    server: OpenAIServer,
    make_model: MakeModel,
    llm_calls: list[LLMCalled],
) -> None:
    """The SDK's own limit raises; pydantic-ai's cancels the request from outside. Both are recorded alike."""
    if send is plain:
        behaviour = stalls()
    server.behaviour = behaviour
    limits: Any = {setting: 0.1}
    with pytest.raises(error):
        await send(instrument(make_model()), limits)
    [call] = llm_calls
    assert call.status == "timeout"
    assert 0.08 <= (call.duration or 0.0) < 5
    await until(lambda: server.tally.disconnects == 1)


@PLAIN_AND_STREAMED
async def test_a_cancelled_call_is_recorded_as_cancelled_and_stops(
    send: Any, server: OpenAIServer, make_model: MakeModel, llm_calls: list[LLMCalled]
) -> None:
    server.behaviour = says("one two three", stall_after=2) if send is streamed else stalls()
    task = asyncio.create_task(send(instrument(make_model())))
    await until(lambda: server.tally.requests == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [call.status for call in llm_calls] == ["cancelled"]
    await until(lambda: server.tally.disconnects == 1)


async def test_a_limit_around_the_agent_is_a_cancellation_to_the_call(
    server: OpenAIServer, make_model: MakeModel, llm_calls: list[LLMCalled]
) -> None:
    """asyncio.timeout cancels what is inside it, where the reason cannot be seen."""
    server.behaviour = stalls()

    async def runs_out(limit: asyncio.Timeout) -> None:
        await until(lambda: server.tally.requests)
        limit.reschedule(asyncio.get_running_loop().time())

    async def limited() -> None:
        async with asyncio.timeout(30) as limit:
            await asyncio.gather(plain(instrument(make_model())), runs_out(limit))

    with pytest.raises(TimeoutError):
        await limited()
    assert [call.status for call in llm_calls] == ["cancelled"]


async def test_a_stream_that_is_closed_half_way_is_cancelled(
    server: OpenAIServer, make_model: MakeModel, llm_calls: list[LLMCalled]
) -> None:
    server.behaviour = says("one two three", stall_after=2)
    async with Agent(instrument(make_model())).run_stream("Say something.") as run:
        async for _ in run.stream_text(delta=True, debounce_by=None):
            break
    assert [(call.status, call.error, call.streamed) for call in llm_calls] == [("cancelled", "", True)]


async def test_a_stream_that_was_cut_keeps_the_usage_it_had(
    server: OpenAIServer, make_model: MakeModel, llm_calls: list[LLMCalled]
) -> None:
    """The usage comes before the end of the stream: a reader that stops between the two has it."""
    server.behaviour = says("one", stall_after=4)
    model = instrument(make_model())
    async with model.request_stream(PROMPT, None, PARAMETERS) as stream:
        reading = asyncio.create_task(exhaust(stream))
        await until(lambda: stream.usage.input_tokens)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    assert [(call.status, call.prompt_tokens, call.completion_tokens) for call in llm_calls] == [("cancelled", 11, 7)]


async def test_a_stream_that_was_dropped_is_emitted_when_it_is_garbage_collected(
    server: OpenAIServer, make_model: MakeModel, llm_calls: list[LLMCalled]
) -> None:
    server.behaviour = says("one two three", stall_after=2)
    opened = instrument(make_model()).request_stream(PROMPT, None, PARAMETERS)
    await opened.__aenter__()
    del opened
    gc.collect()
    await until(lambda: llm_calls)
    assert [(call.status, call.streamed) for call in llm_calls] == [("cancelled", True)]


async def test_a_stream_lasts_until_the_model_is_done_and_not_the_reader(
    server: OpenAIServer, make_model: MakeModel, llm_calls: list[LLMCalled]
) -> None:
    """What the consumer does after the last event is not in the duration."""
    async with instrument(make_model()).request_stream(PROMPT, None, PARAMETERS) as stream:
        assert not llm_calls
        await exhaust(stream)
        assert [call.status for call in llm_calls] == ["success"]
    assert len(llm_calls) == 1


async def test_a_reader_that_fails_does_not_make_the_model_fail(
    server: OpenAIServer, make_model: MakeModel, llm_calls: list[LLMCalled]
) -> None:
    server.behaviour = says("one two three", stall_after=2)
    with pytest.raises(LookupError):
        async with instrument(make_model()).request_stream(PROMPT, None, PARAMETERS):
            raise LookupError
    assert [(call.status, call.error) for call in llm_calls] == [("cancelled", "LookupError")]


async def test_a_stream_that_was_read_before_is_emitted_when_it_is_closed(
    server: OpenAIServer, make_model: MakeModel, llm_calls: list[LLMCalled]
) -> None:
    """FallbackModel reads a stream's first event before it returns the stream."""
    chain = instrument(FallbackModel(make_model("first"), make_model("second")))
    server.behaviour = [fails(500), says("one two three")]
    await streamed(chain)
    server.behaviour = [fails(500), says("one two three four", break_after=3)]
    with pytest.raises(ModelAPIError):
        await streamed(chain)
    assert [(call.model, call.status) for call in llm_calls] == [("second", "success"), ("second", "error")]


async def test_a_fallback_is_one_call_of_the_model_that_responded(
    server: OpenAIServer, make_model: MakeModel, llm_calls: list[LLMCalled]
) -> None:
    """Also where its members are wrapped as well: tokens count once."""
    server.behaviour = [fails(500), says()]
    await plain(instrument(FallbackModel(instrument(make_model("first")), instrument(make_model("second")))))
    [call] = llm_calls
    assert (call.model, call.requested_model, call.status) == ("second", "fallback:first,second", "success")
    assert call.prompt_tokens == server.tally.prompt_tokens


async def test_wrapping_only_the_members_of_a_fallback_makes_each_a_call(
    server: OpenAIServer, make_model: MakeModel, llm_calls: list[LLMCalled]
) -> None:
    server.behaviour = [fails(500), says()]
    await plain(FallbackModel(instrument(make_model("first")), instrument(make_model("second"))))
    assert [(call.model, call.status) for call in llm_calls] == [("first", "error"), ("second", "success")]


async def test_a_fallback_that_ran_out_of_time_everywhere_is_a_timeout(
    server: OpenAIServer, make_model: MakeModel, llm_calls: list[LLMCalled]
) -> None:
    server.behaviour = stalls()
    with pytest.raises(ExceptionGroup):
        await plain(instrument(FallbackModel(make_model("first"), make_model("second"))), ModelSettings(timeout=0.1))
    assert [call.status for call in llm_calls] == ["timeout"]


async def test_a_model_that_is_wrapped_twice_emits_once(make_model: MakeModel, llm_calls: list[LLMCalled]) -> None:
    model = instrument(make_model())
    assert instrument(model) is model
    await plain(instrument(WrapperModel(model)))
    await streamed(instrument(WrapperModel(model)))
    assert [call.streamed for call in llm_calls] == [False, True]


async def test_a_call_made_while_a_stream_is_open_is_a_call_of_its_own(
    make_model: MakeModel, llm_calls: list[LLMCalled]
) -> None:
    async with instrument(make_model("outer")).request_stream(PROMPT, None, PARAMETERS) as stream:
        await plain(instrument(make_model("inner")))
        await exhaust(stream)
    assert [call.model for call in llm_calls] == ["inner", "outer"]


async def test_each_request_of_an_agent_is_a_call(
    server: OpenAIServer, make_model: MakeModel, llm_calls: list[LLMCalled]
) -> None:
    """A tool call and the response after it are two requests; so are a rejected output and the second try."""
    agent = Agent(instrument(make_model()))

    @agent.tool_plain
    def brand_facts(brand: str) -> str:
        return f"{brand} makes earbuds."

    server.behaviour = [calls_tool("brand_facts", {"brand": "Acme"}), says()]
    await agent.run("Say something.")
    assert len(llm_calls) == server.tally.requests == 2

    class Verdict(BaseModel):
        score: int

    server.behaviour = [calls_tool("final_result", {"score": "no"}), calls_tool("final_result", {"score": 3})]
    judged = await Agent(instrument(make_model()), output_type=Verdict).run("Judge.")
    assert judged.output == Verdict(score=3)
    assert len(llm_calls) == server.tally.requests == 4
    assert sum(call.prompt_tokens or 0 for call in llm_calls) == server.tally.prompt_tokens


@PLAIN_AND_STREAMED
async def test_a_call_knows_its_agent_and_run_and_its_tokens_roll_up(
    send: Any, make_model: MakeModel, llm_calls: list[LLMCalled]
) -> None:
    with (
        events.agent_finished.captured() as finished,
        events.workflow_run.scope(run_id="r1", workflow_type="demo"),
        events.agent_run(agent_name="copywriter", task="slogan"),
    ):
        await send(instrument(make_model()))
        await send(instrument(make_model()))
    assert [(call.agent_name, call.workflow_type, call.run_id) for call in llm_calls] == [
        ("copywriter", "demo", "r1")
    ] * 2
    [run] = finished
    assert (run.llm_calls, run.prompt_tokens, run.completion_tokens) == (2, 22, 14)


async def test_a_stream_read_elsewhere_belongs_to_where_it_was_opened(
    make_model: MakeModel, llm_calls: list[LLMCalled]
) -> None:
    model = instrument(make_model())
    with events.agent_run(agent_name="copywriter"):
        opened = model.request_stream(PROMPT, None, PARAMETERS)
        stream = await opened.__aenter__()
    with events.agent_run(agent_name="editor"):
        await exhaust(stream)
    await opened.__aexit__(None, None, None)
    assert [call.agent_name for call in llm_calls] == ["copywriter"]


async def test_concurrent_calls_do_not_mix(
    server: OpenAIServer, make_model: MakeModel, llm_calls: list[LLMCalled]
) -> None:
    server.behaviour = lambda request: says(usage=Usage(prompt=int(request.model), completion=1))

    async def run(number: int) -> None:
        with events.agent_run(agent_name=f"agent {number}"):
            await (plain if number % 2 else streamed)(instrument(make_model(str(number))))

    await asyncio.gather(*(run(number) for number in range(1, 21)))
    assert sorted((call.prompt_tokens, call.agent_name) for call in llm_calls) == [
        (number, f"agent {number}") for number in range(1, 21)
    ]


@PLAIN_AND_STREAMED
@pytest.mark.parametrize("succeeds", [True, False])
async def test_no_prompt_output_or_error_message_is_in_an_event(
    send: Any, succeeds: bool, server: OpenAIServer, make_model: MakeModel, llm_calls: list[LLMCalled]
) -> None:
    server.behaviour = says(SECRET) if succeeds else fails(400, SECRET)
    agent = Agent(instrument(make_model()), instructions=SECRET)
    with nullcontext() if succeeds else pytest.raises(ModelAPIError, match=SECRET):
        if send is plain:
            await agent.run(SECRET)
        else:
            async with agent.run_stream(SECRET) as run:
                await run.get_output()
    assert SECRET in str(server.requests)
    assert len(llm_calls) == 1
    assert SECRET not in str(llm_calls)


@pytest.mark.lenient
async def test_a_failure_of_the_bridge_never_reaches_the_caller(llm_calls: list[LLMCalled]) -> None:
    """The caller gets its response; the failure is reported, and the call is emitted with what is known."""

    class Uncounted(WrapperModel):
        """Responds with None in place of a usage."""

        async def request(self, *request: Any) -> Any:
            response = await super().request(*request)
            response.usage = cast(Any, None)
            return response

        @asynccontextmanager
        async def request_stream(self, *request: Any) -> AsyncGenerator[Any]:
            async with super().request_stream(*request) as stream:
                stream._usage = cast(Any, None)
                yield stream

    model = instrument(Uncounted(TestModel(custom_output_text="fine")))
    with events.receiver_failed.captured() as failed:
        response = await model.request(PROMPT, None, PARAMETERS)
        async with model.request_stream(PROMPT, None, PARAMETERS):
            pass
    assert response.text == "fine"
    assert [call.prompt_tokens for call in llm_calls] == [None, None]
    assert [(failure.signal, failure.receiver, failure.error) for failure in failed] == [
        ("llm_called", "pydantic_ai", "AttributeError")
    ] * 2


async def exhaust(stream: AsyncIterator[Any] | Any) -> None:
    async for _ in stream:
        pass
