"""The pydantic-ai bridge: each request to a model is told once, with what the provider said and nothing else."""

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
from pydantic_ai.usage import RequestUsage

import events
from events import LLMCalled
from events.bridges.pydantic_ai import instrument
from events.bridges.pydantic_ai.error_types import is_timeout
from events.bridges.pydantic_ai.usage import reported_tokens
from tests.support.openai_server import OpenAIServer, Reply, Usage, calls_tool, fails, says, sends, stalls
from tests.support.wait import until

pytestmark = pytest.mark.slow

PROMPT: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Say something.")])]
PARAMETERS = ModelRequestParameters()
SECRET = "Xyzzy"  # a word that nobody else uses


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


ModelOf = Callable[..., Model]


@pytest.fixture
async def model_of(server: OpenAIServer) -> AsyncIterator[ModelOf]:
    """Make pydantic-ai's own OpenAI model, which asks the loopback server over HTTP."""
    clients: list[AsyncOpenAI] = []

    def make(name: str = "gpt-4o-mini") -> Model:
        client = AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0)
        clients.append(client)
        return OpenAIChatModel(name, provider=OpenAIProvider(openai_client=client))

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
def told() -> Iterator[list[LLMCalled]]:
    with events.llm_called.captured() as seen:
        yield seen


async def plain(model: Model, settings: ModelSettings | None = None) -> None:
    await Agent(model).run("Say something.", model_settings=settings)


async def streamed(model: Model, settings: ModelSettings | None = None) -> None:
    async with Agent(model).run_stream("Say something.", model_settings=settings) as run:
        await run.get_output()


BOTH = pytest.mark.parametrize("ask", [plain, streamed])


@BOTH
async def test_a_call_is_told_once_with_what_the_provider_counted(
    ask: Any, server: OpenAIServer, model_of: ModelOf, told: list[LLMCalled]
) -> None:
    """Cached tokens stay inside the prompt and reasoning inside the completion, as the bill has them."""
    server.behaviour = says(usage=Usage(prompt=100, completion=20, cached=60, reasoning=15))
    await ask(instrument(model_of()))
    [call] = told
    assert (call.status, call.error, call.streamed) == ("success", "", ask is streamed)
    assert (call.prompt_tokens, call.completion_tokens) == (100, 20)
    assert (call.prompt_tokens, call.completion_tokens) == (server.tally.prompt_tokens, server.tally.completion_tokens)
    assert call.provider == "openai"
    assert call.cost is None
    assert 0 < call.duration < 60


@BOTH
async def test_the_model_is_the_one_that_answered(
    ask: Any, server: OpenAIServer, model_of: ModelOf, told: list[LLMCalled]
) -> None:
    server.behaviour = says(model="gpt-4o-mini-2024-07-18")
    await ask(instrument(model_of("gpt-4o-mini")))
    assert [(call.model, call.requested_model) for call in told] == [("gpt-4o-mini-2024-07-18", "gpt-4o-mini")]


@BOTH
async def test_tokens_that_nobody_counted_are_unknown_and_not_nought(
    ask: Any, server: OpenAIServer, model_of: ModelOf, told: list[LLMCalled]
) -> None:
    server.behaviour = says(usage=None)
    await ask(instrument(model_of()))
    assert [(call.status, call.prompt_tokens, call.completion_tokens) for call in told] == [("success", None, None)]


@BOTH
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
async def test_a_call_that_fails_is_told_as_an_error_by_its_class(
    *, ask: Any, behaviour: Reply, error: str, server: OpenAIServer, model_of: ModelOf, told: list[LLMCalled]
) -> None:
    if ask is streamed and behaviour.status == 200 and behaviour.body is not None:
        error = "UnexpectedModelBehavior"  # an event stream that holds no event
    server.behaviour = behaviour
    with pytest.raises(Exception) as raised:  # noqa: PT011  # which one, the next lines say
        await ask(instrument(model_of()))
    assert type(raised.value).__name__ == error
    assert [(call.status, call.error, call.streamed) for call in told] == [("error", error, ask is streamed)]
    assert (told[0].model, told[0].prompt_tokens) == ("gpt-4o-mini", None)


@BOTH
@pytest.mark.parametrize(
    ("setting", "error"), [("timeout", ModelTimeoutError), ("request_timeout", ModelRequestTimeout)]
)
@pytest.mark.parametrize("behaviour", [stalls(), says("one two three", stall_after=2)], ids=["at once", "half-way"])
async def test_a_limit_in_the_models_settings_is_told_as_a_timeout(
    *,
    ask: Any,
    setting: Any,
    error: type[Exception],
    behaviour: Reply,
    server: OpenAIServer,
    model_of: ModelOf,
    told: list[LLMCalled],
) -> None:
    """The SDK's own limit raises; pydantic-ai's cancels the request from outside. Both are the same to an operator."""
    if ask is plain:
        behaviour = stalls()
    server.behaviour = behaviour
    limits: Any = {setting: 0.1}
    with pytest.raises(error):
        await ask(instrument(model_of()), limits)
    [call] = told
    assert call.status == "timeout"
    assert 0.08 <= call.duration < 5
    await until(lambda: server.tally.disconnects == 1)


@BOTH
async def test_a_cancelled_call_is_told_as_cancelled_and_stops(
    ask: Any, server: OpenAIServer, model_of: ModelOf, told: list[LLMCalled]
) -> None:
    server.behaviour = says("one two three", stall_after=2) if ask is streamed else stalls()
    task = asyncio.create_task(ask(instrument(model_of())))
    await until(lambda: server.tally.requests == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [call.status for call in told] == ["cancelled"]
    await until(lambda: server.tally.disconnects == 1)


async def test_a_limit_around_the_agent_is_a_cancellation_to_the_call(
    server: OpenAIServer, model_of: ModelOf, told: list[LLMCalled]
) -> None:
    """asyncio.timeout cancels what it holds; inside, nobody can tell why."""
    server.behaviour = stalls()

    async def runs_out(limit: asyncio.Timeout) -> None:
        await until(lambda: server.tally.requests)
        limit.reschedule(asyncio.get_running_loop().time())

    async def limited() -> None:
        async with asyncio.timeout(30) as limit:
            await asyncio.gather(plain(instrument(model_of())), runs_out(limit))

    with pytest.raises(TimeoutError):
        await limited()
    assert [call.status for call in told] == ["cancelled"]


async def test_a_stream_that_is_left_half_way_is_cancelled(
    server: OpenAIServer, model_of: ModelOf, told: list[LLMCalled]
) -> None:
    server.behaviour = says("one two three", stall_after=2)
    async with Agent(instrument(model_of())).run_stream("Say something.") as run:
        async for _ in run.stream_text(delta=True, debounce_by=None):
            break
    assert [(call.status, call.error, call.streamed) for call in told] == [("cancelled", "", True)]


async def test_a_stream_that_was_cut_keeps_the_usage_it_had(
    server: OpenAIServer, model_of: ModelOf, told: list[LLMCalled]
) -> None:
    """The usage comes before the end mark: whoever leaves between the two has it all."""
    server.behaviour = says("one", stall_after=4)
    model = instrument(model_of())
    async with model.request_stream(PROMPT, None, PARAMETERS) as stream:
        reading = asyncio.create_task(exhaust(stream))
        await until(lambda: stream.usage.input_tokens)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    assert [(call.status, call.prompt_tokens, call.completion_tokens) for call in told] == [("cancelled", 11, 7)]


async def test_a_stream_that_was_dropped_is_told_when_it_is_collected(
    server: OpenAIServer, model_of: ModelOf, told: list[LLMCalled]
) -> None:
    server.behaviour = says("one two three", stall_after=2)
    opened = instrument(model_of()).request_stream(PROMPT, None, PARAMETERS)
    await opened.__aenter__()
    del opened
    gc.collect()
    await until(lambda: told)
    assert [(call.status, call.streamed) for call in told] == [("cancelled", True)]


async def test_a_stream_lasts_until_the_model_is_done_and_not_the_reader(
    server: OpenAIServer, model_of: ModelOf, told: list[LLMCalled]
) -> None:
    """What the consumer does with the last word is not the model's time."""
    async with instrument(model_of()).request_stream(PROMPT, None, PARAMETERS) as stream:
        assert not told
        await exhaust(stream)
        assert [call.status for call in told] == ["success"]
    assert len(told) == 1


async def test_a_reader_that_fails_does_not_make_the_model_fail(
    server: OpenAIServer, model_of: ModelOf, told: list[LLMCalled]
) -> None:
    server.behaviour = says("one two three", stall_after=2)
    with pytest.raises(LookupError):
        async with instrument(model_of()).request_stream(PROMPT, None, PARAMETERS):
            raise LookupError
    assert [(call.status, call.error) for call in told] == [("cancelled", "LookupError")]


async def test_a_stream_of_a_model_that_was_read_before_is_told_when_it_is_left(
    server: OpenAIServer, model_of: ModelOf, told: list[LLMCalled]
) -> None:
    """FallbackModel waits for a first event before it hands a stream over."""
    chain = instrument(FallbackModel(model_of("first"), model_of("second")))
    server.behaviour = [fails(500), says("one two three")]
    await streamed(chain)
    server.behaviour = [fails(500), says("one two three four", break_after=3)]
    with pytest.raises(ModelAPIError):
        await streamed(chain)
    assert [(call.model, call.status) for call in told] == [("second", "success"), ("second", "error")]


async def test_a_fallback_is_one_call_of_the_model_that_answered(
    server: OpenAIServer, model_of: ModelOf, told: list[LLMCalled]
) -> None:
    """Also where its members are wrapped as well: tokens count once."""
    server.behaviour = [fails(500), says()]
    await plain(instrument(FallbackModel(instrument(model_of("first")), instrument(model_of("second")))))
    [call] = told
    assert (call.model, call.requested_model, call.status) == ("second", "fallback:first,second", "success")
    assert call.prompt_tokens == server.tally.prompt_tokens


async def test_wrapping_the_members_of_a_fallback_tells_each_attempt(
    server: OpenAIServer, model_of: ModelOf, told: list[LLMCalled]
) -> None:
    server.behaviour = [fails(500), says()]
    await plain(FallbackModel(instrument(model_of("first")), instrument(model_of("second"))))
    assert [(call.model, call.status) for call in told] == [("first", "error"), ("second", "success")]


async def test_a_fallback_that_ran_out_of_time_everywhere_is_a_timeout(
    server: OpenAIServer, model_of: ModelOf, told: list[LLMCalled]
) -> None:
    server.behaviour = stalls()
    with pytest.raises(ExceptionGroup):
        await plain(instrument(FallbackModel(model_of("first"), model_of("second"))), ModelSettings(timeout=0.1))
    assert [call.status for call in told] == ["timeout"]


async def test_wrapping_twice_tells_once(model_of: ModelOf, told: list[LLMCalled]) -> None:
    model = instrument(model_of())
    assert instrument(model) is model
    await plain(instrument(WrapperModel(model)))
    await streamed(instrument(WrapperModel(model)))
    assert [call.streamed for call in told] == [False, True]


async def test_a_call_made_while_a_stream_is_open_is_a_call_of_its_own(
    model_of: ModelOf, told: list[LLMCalled]
) -> None:
    async with instrument(model_of("outer")).request_stream(PROMPT, None, PARAMETERS) as stream:
        await plain(instrument(model_of("inner")))
        await exhaust(stream)
    assert [call.model for call in told] == ["inner", "outer"]


async def test_each_request_of_an_agent_is_told(server: OpenAIServer, model_of: ModelOf, told: list[LLMCalled]) -> None:
    """A tool call and the answer after it are two requests; so are a rejected output and the second try."""
    agent = Agent(instrument(model_of()))

    @agent.tool_plain
    def brand_facts(brand: str) -> str:
        return f"{brand} makes earbuds."

    server.behaviour = [calls_tool("brand_facts", {"brand": "Acme"}), says()]
    await agent.run("Say something.")
    assert len(told) == server.tally.requests == 2

    class Verdict(BaseModel):
        score: int

    server.behaviour = [calls_tool("final_result", {"score": "no"}), calls_tool("final_result", {"score": 3})]
    judged = await Agent(instrument(model_of()), output_type=Verdict).run("Judge.")
    assert judged.output == Verdict(score=3)
    assert len(told) == server.tally.requests == 4
    assert sum(call.prompt_tokens or 0 for call in told) == server.tally.prompt_tokens


@BOTH
async def test_a_call_knows_its_agent_and_run_and_its_tokens_roll_up(
    ask: Any, model_of: ModelOf, told: list[LLMCalled]
) -> None:
    with (
        events.agent_finished.captured() as finished,
        events.workflow_run.scope(run_id="r1", workflow_type="demo"),
        events.agent_run(agent_name="copywriter", task="slogan"),
    ):
        await ask(instrument(model_of()))
        await ask(instrument(model_of()))
    assert [(call.agent_name, call.workflow_type, call.run_id) for call in told] == [("copywriter", "demo", "r1")] * 2
    [run] = finished
    assert (run.llm_calls, run.prompt_tokens, run.completion_tokens) == (2, 22, 14)


async def test_a_stream_read_elsewhere_belongs_to_where_it_was_opened(model_of: ModelOf, told: list[LLMCalled]) -> None:
    model = instrument(model_of())
    with events.agent_run(agent_name="copywriter"):
        opened = model.request_stream(PROMPT, None, PARAMETERS)
        stream = await opened.__aenter__()
    with events.agent_run(agent_name="editor"):
        await exhaust(stream)
    await opened.__aexit__(None, None, None)
    assert [call.agent_name for call in told] == ["copywriter"]


async def test_calls_at_once_are_kept_apart(server: OpenAIServer, model_of: ModelOf, told: list[LLMCalled]) -> None:
    server.behaviour = lambda request: says(usage=Usage(prompt=int(request.model), completion=1))

    async def run(number: int) -> None:
        with events.agent_run(agent_name=f"agent {number}"):
            await (plain if number % 2 else streamed)(instrument(model_of(str(number))))

    await asyncio.gather(*(run(number) for number in range(1, 21)))
    assert sorted((call.prompt_tokens, call.agent_name) for call in told) == [
        (number, f"agent {number}") for number in range(1, 21)
    ]


@BOTH
@pytest.mark.parametrize("fine", [True, False])
async def test_neither_prompt_nor_output_nor_an_errors_message_is_told(
    ask: Any, fine: bool, server: OpenAIServer, model_of: ModelOf, told: list[LLMCalled]
) -> None:
    server.behaviour = says(SECRET) if fine else fails(400, SECRET)
    agent = Agent(instrument(model_of()), instructions=SECRET)
    with nullcontext() if fine else pytest.raises(ModelAPIError, match=SECRET):
        if ask is plain:
            await agent.run(SECRET)
        else:
            async with agent.run_stream(SECRET) as run:
                await run.get_output()
    assert SECRET in str(server.requests)
    assert len(told) == 1
    assert SECRET not in str(told)


@pytest.mark.lenient
async def test_a_failure_in_telling_never_reaches_the_caller(told: list[LLMCalled]) -> None:
    """The caller gets its answer; the failure is told, and the call with what is known of it."""

    class Uncounted(WrapperModel):
        """Answers with something else than a usage where the usage belongs."""

        async def request(self, *request: Any) -> Any:
            response = await super().request(*request)
            response.usage = cast(Any, None)
            return response

        @asynccontextmanager
        async def request_stream(self, *asked: Any) -> AsyncGenerator[Any]:
            async with super().request_stream(*asked) as stream:
                stream._usage = cast(Any, None)
                yield stream

    model = instrument(Uncounted(TestModel(custom_output_text="fine")))
    with events.receiver_failed.captured() as failed:
        response = await model.request(PROMPT, None, PARAMETERS)
        async with model.request_stream(PROMPT, None, PARAMETERS):
            pass
    assert response.text == "fine"
    assert [call.prompt_tokens for call in told] == [None, None]
    assert [(failure.signal, failure.receiver, failure.error) for failure in failed] == [
        ("llm_called", "pydantic_ai", "AttributeError")
    ] * 2


@pytest.mark.parametrize(
    ("usage", "told_as"),
    [
        (RequestUsage(input_tokens=5, output_tokens=3), (5, 3)),
        (RequestUsage(input_tokens=5), (5, 0)),
        (RequestUsage(output_tokens=3), (None, 3)),
        (RequestUsage(), (None, None)),
        (RequestUsage(unmeasured_requests=1), (None, None)),
        (RequestUsage(input_tokens=-5, output_tokens=-3), (None, None)),
    ],
)
def test_nought_tokens_are_unknown_where_they_cannot_be_true(
    usage: RequestUsage, told_as: tuple[int | None, int | None]
) -> None:
    assert reported_tokens(usage) == told_as


@pytest.mark.parametrize(
    ("provider", "body", "told_as"),
    [
        (
            "openai",
            {"usage": {"prompt_tokens": 100, "completion_tokens": 25,
                       "prompt_tokens_details": {"cached_tokens": 60},
                       "completion_tokens_details": {"reasoning_tokens": 20}}},
            (100, 25),
        ),
        (
            "anthropic",
            {"usage": {"input_tokens": 100, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 10,
                       "output_tokens": 5}},
            (150, 5),
        ),
        (
            "google",
            {"usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 20, "thoughtsTokenCount": 30,
                               "cachedContentTokenCount": 40, "toolUsePromptTokenCount": 5, "totalTokenCount": 155}},
            (105, 50),
        ),
    ],
)  # fmt: skip
def test_every_provider_counts_the_same_way(provider: str, body: dict[str, Any], told_as: tuple[int, int]) -> None:
    """The prompt holds cached tokens and the completion holds reasoning, whichever way the provider splits them.

    This is pydantic-ai's doing; the test stands where a new version of it would change our numbers.
    """
    models = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5", "google": "gemini-2.5-flash"}
    usage = RequestUsage.extract(
        {"model": models[provider], **body},
        provider=provider,
        provider_url="",
        provider_fallback=provider,
        api_flavor="chat" if provider == "openai" else "default",
    )
    assert reported_tokens(usage) == told_as


def test_a_timeout_is_found_behind_what_it_caused() -> None:
    class ReadTimeout(Exception):  # as httpx names it
        pass

    def caused_by(cause: Exception) -> Exception:
        error = ValueError("outer")
        error.__cause__ = cause
        return error

    assert is_timeout(TimeoutError())
    assert is_timeout(caused_by(caused_by(ReadTimeout())))
    assert is_timeout(ExceptionGroup("all", [TimeoutError(), caused_by(ReadTimeout())]))
    assert not is_timeout(ExceptionGroup("some", [TimeoutError(), ValueError()]))
    assert not is_timeout(caused_by(KeyError()))
    assert not is_timeout(None)


async def exhaust(stream: AsyncIterator[Any] | Any) -> None:
    async for _ in stream:
        pass
