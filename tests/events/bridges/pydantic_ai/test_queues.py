"""What waits in a queue of one's own, such as a limiter's, is not the model's time: `queue_wait` is told by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from time import perf_counter
from typing import Any

import httpx2
import pytest
from pydantic_ai import Agent, ConcurrencyLimiter
from pydantic_ai.exceptions import ConcurrencyLimitExceeded, ModelAPIError, ModelHTTPError
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.concurrency import ConcurrencyLimitedModel
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.instrumented import InstrumentedModel as LogfireModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.providers.openai import OpenAIProvider

from events import AgentFinished, LLMAttempted, LLMCalled, agent_finished, agent_run, llm_attempted, llm_called
from events.bridges.pydantic_ai import emit, instrument
from tests.support.openai_server import OpenAIServer, fails, says
from tests.support.wait import until

TIME = 0.02
"""Seconds that a model takes for an answer, at least."""

QUEUE = 0.2
"""Seconds that a request waits in a queue, at least."""

PROMPT: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Say something.")])]


@pytest.fixture
def calls() -> Iterator[list[LLMCalled]]:
    with llm_called.captured() as captured:
        yield captured


@pytest.fixture
def attempts() -> Iterator[list[LLMAttempted]]:
    with llm_attempted.captured() as captured:
        yield captured


@pytest.fixture
def finished() -> Iterator[list[AgentFinished]]:
    with agent_finished.captured() as captured:
        yield captured


async def answer(_messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
    await asyncio.sleep(TIME)
    return ModelResponse(parts=[TextPart("An answer.")])


async def stream(_messages: list[ModelMessage], _info: AgentInfo) -> AsyncIterator[str]:
    for word in ("An ", "answer."):
        await asyncio.sleep(TIME / 2)
        yield word


def model() -> Model:
    return FunctionModel(answer, stream_function=stream)


class OwnLimiter(WrapperModel):
    """A limiter that somebody wrote."""

    def __init__(self, wrapped: Model, limiter: ConcurrencyLimiter) -> None:
        super().__init__(wrapped)
        self.limiter = limiter

    async def request(self, *request: Any) -> ModelResponse:
        await self.limiter.acquire("own")
        try:
            return await self.wrapped.request(*request)
        finally:
            self.limiter.release()


async def ask(asked: Model, *, streamed: bool = False) -> None:
    if not streamed:
        await asked.request(PROMPT, None, ModelRequestParameters())
        return
    async with asked.request_stream(PROMPT, None, ModelRequestParameters()) as events:
        async for _ in events:
            pass


Limited = ConcurrencyLimitedModel

# fmt: off
LIMITED: dict[str, Callable[[ConcurrencyLimiter], Model]] = {
    "instrument(limited)": lambda limiter: instrument(Limited(model(), limiter)),
    "limited(instrument)": lambda limiter: instrument(Limited(instrument(model()), limiter)),
    "instrument(logfire(limited))": lambda limiter: instrument(LogfireModel(Limited(model(), limiter))),
    "instrument(limited(logfire))": lambda limiter: instrument(Limited(LogfireModel(model()), limiter)),
    "instrument(limited(limited))": lambda limiter: instrument(Limited(Limited(model(), limiter), 1)),
    "instrument(fallback(limited))": lambda limiter: instrument(FallbackModel(Limited(model(), limiter), model())),
    "instrument(own(instrument))": lambda limiter: instrument(OwnLimiter(instrument(model()), limiter)),
}
# fmt: on
PLAIN = {"instrument(own(instrument))"}
"""Those that limit plain requests alone."""


@pytest.mark.parametrize(
    ("name", "streamed"),
    [(name, streamed) for name in LIMITED for streamed in (False, True) if name not in PLAIN or not streamed],
)
async def test_the_queue_of_a_limiter_is_in_no_time_of_the_model(
    name: str, streamed: bool, calls: list[LLMCalled], attempts: list[LLMAttempted], finished: list[AgentFinished]
) -> None:
    limiter = ConcurrencyLimiter(1)
    limited = LIMITED[name](limiter)
    await limiter.acquire("test")

    async def work() -> None:
        with agent_run(agent_name="writer"):
            await ask(limited, streamed=streamed)

    begun_at = perf_counter()
    working = asyncio.create_task(work())
    await until(lambda: limiter.waiting_count == 1)
    await asyncio.sleep(QUEUE)
    limiter.release()
    await working
    rest = perf_counter() - begun_at - QUEUE
    [call], [attempt], [agent] = calls, attempts, finished
    assert call.attempts == 1
    assert call.queue_wait == pytest.approx(attempt.queue_wait)
    assert attempt.queue_wait is not None
    assert attempt.queue_wait >= QUEUE
    assert TIME <= (attempt.duration or 0.0) <= rest
    assert TIME <= (call.duration or 0.0) <= rest
    assert agent.llm_time is not None
    assert TIME <= agent.llm_time <= rest
    assert agent.self_time is not None
    assert agent.self_time >= QUEUE
    assert (agent.backoff_time or 0.0) < rest
    assert (call.time_to_first_token is not None) is streamed
    assert (call.time_to_first_token or 0.0) < rest


async def test_a_limiter_of_agents_is_waited_for_by_the_agent(
    calls: list[LLMCalled], finished: list[AgentFinished]
) -> None:
    limiter = ConcurrencyLimiter(1)
    agent = Agent(instrument(model()), max_concurrency=limiter)
    await limiter.acquire("test")

    async def work() -> None:
        with agent_run(agent_name="writer"):
            await agent.run("Say something.")

    begun_at = perf_counter()
    working = asyncio.create_task(work())
    await until(lambda: limiter.waiting_count == 1)
    await asyncio.sleep(QUEUE)
    limiter.release()
    await working
    rest = perf_counter() - begun_at - QUEUE
    assert (calls[0].duration or 0.0) <= rest
    assert (finished[0].llm_time or 0.0) <= rest
    assert (finished[0].self_time or 0.0) >= QUEUE


async def test_a_fallback_that_waits_in_a_queue_waits_for_no_model(
    calls: list[LLMCalled], attempts: list[LLMAttempted]
) -> None:
    limiter = ConcurrencyLimiter(1)
    second = ConcurrencyLimitedModel(model(), limiter)
    with OpenAIServer(fails(400)) as server:
        first = OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(base_url=server.base_url, api_key="none"))
        await limiter.acquire("test")
        asking = asyncio.create_task(ask(instrument(FallbackModel(first, second))))
        await until(lambda: limiter.waiting_count == 1)
        await asyncio.sleep(QUEUE)
        released_at = perf_counter()
        limiter.release()
        await asking
    failed, answered = attempts
    assert failed.outcome == "error"
    assert answered.fallback_reason == "invalid_request"
    assert answered.queue_wait is not None
    assert answered.queue_wait >= QUEUE
    assert (answered.duration or 0.0) <= perf_counter() - released_at
    assert calls[0].queue_wait == pytest.approx(answered.queue_wait + (failed.queue_wait or 0))


@pytest.mark.slow
@pytest.mark.parametrize("streamed", [False, True])
async def test_the_wait_for_a_connection_of_the_pool_is_no_time_of_the_model(
    streamed: bool, calls: list[LLMCalled], attempts: list[LLMAttempted]
) -> None:
    traced: list[str] = []

    async def trace(event: str, _info: Any) -> None:
        traced.append(event)

    async def add_trace(request: Any) -> None:
        request.extensions = {**request.extensions, "trace": trace}

    with OpenAIServer(says(delay=QUEUE)) as server:
        async with httpx2.AsyncClient(
            limits=httpx2.Limits(max_connections=1), event_hooks={"request": [add_trace]}
        ) as client:
            provider = OpenAIProvider(base_url=server.base_url, api_key="none", http_client=client)
            asked = instrument(OpenAIChatModel("gpt-4o-mini", provider=provider))
            begun_at = perf_counter()
            await asyncio.gather(ask(asked, streamed=streamed), ask(asked, streamed=streamed))
    rest = perf_counter() - begun_at - QUEUE
    for call, attempt, wait in zip(calls, attempts, (0.0, QUEUE), strict=True):
        assert call.queue_wait == pytest.approx(attempt.queue_wait or 0.0)
        assert (call.queue_wait or 0.0) >= wait
        assert QUEUE <= (attempt.duration or 0.0) <= rest
        assert QUEUE <= (call.duration or 0.0) <= rest
    assert any(event.endswith("send_request_headers.started") for event in traced)  # whose client it is sees it too


async def test_the_wait_for_a_connection_before_a_retry_is_no_backoff(attempts: list[LLMAttempted]) -> None:
    with OpenAIServer([fails(503, retry_after=0.02), says(), says(delay=TIME)]) as server:
        async with httpx2.AsyncClient(limits=httpx2.Limits(max_connections=1)) as client:
            provider = OpenAIProvider(base_url=server.base_url, api_key="none", http_client=client)
            await ask(instrument(OpenAIChatModel("gpt-4o-mini", provider=provider)))
    failed, answered = attempts
    assert (failed.outcome, answered.outcome) == ("error", "success")
    assert answered.backoff is not None
    assert answered.backoff + (answered.queue_wait or 0.0) >= 0.02


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_call_that_ends_in_the_queue_asked_no_model(
    streamed: bool, calls: list[LLMCalled], attempts: list[LLMAttempted], finished: list[AgentFinished]
) -> None:
    limiter = ConcurrencyLimiter(1, max_queued=1)
    limited = ConcurrencyLimitedModel(model(), limiter)
    asked = instrument(FallbackModel(limited, limited))
    await limiter.acquire("test")

    async def wait() -> None:
        with agent_run(agent_name="writer"):
            await ask(asked, streamed=streamed)

    waiting = asyncio.create_task(wait())
    await until(lambda: limiter.waiting_count == 1)
    await asyncio.sleep(QUEUE)
    with pytest.raises(ConcurrencyLimitExceeded):
        await ask(asked, streamed=streamed)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    refused, cancelled = calls
    assert [call.status for call in calls] == ["error", "cancelled"]
    assert [call.attempts for call in calls] == [0, 0]
    assert (refused.duration, cancelled.duration) == (0, 0)
    assert cancelled.queue_wait is not None
    assert cancelled.queue_wait >= QUEUE
    assert finished[0].llm_time == 0
    assert finished[0].self_time == finished[0].duration
    assert not attempts


@pytest.mark.slow
@pytest.mark.parametrize("pool_timeout", [None, QUEUE])
async def test_a_request_that_is_given_up_in_the_pools_queue_was_none(
    pool_timeout: float | None, calls: list[LLMCalled], attempts: list[LLMAttempted], finished: list[AgentFinished]
) -> None:
    """Cancelled, or past the client's limit of time for it."""
    with OpenAIServer(says(delay=4 * QUEUE)) as server:
        async with httpx2.AsyncClient(
            limits=httpx2.Limits(max_connections=1), timeout=httpx2.Timeout(30, pool=pool_timeout)
        ) as client:
            provider = OpenAIProvider(base_url=server.base_url, api_key="none", http_client=client)
            provider.client.max_retries = 0
            asked = instrument(OpenAIChatModel("gpt-4o-mini", provider=provider))
            first = asyncio.create_task(ask(asked))
            await until(lambda: bool(server.requests))
            with pytest.raises((TimeoutError, ModelAPIError)), agent_run(agent_name="writer"):
                await asyncio.wait_for(ask(asked), 2 * QUEUE)
            await first
        assert len(server.requests) == 1
    given_up, answered = calls
    assert (given_up.attempts, given_up.duration, answered.attempts, len(attempts)) == (0, 0, 1, 1)
    assert given_up.queue_wait is not None
    assert given_up.queue_wait >= QUEUE
    assert (finished[0].llm_time, finished[0].self_time) == (0, finished[0].duration)


@pytest.mark.slow
async def test_requests_side_by_side_wait_while_none_is_under_way(
    calls: list[LLMCalled], attempts: list[LLMAttempted]
) -> None:
    class BestOfThree(WrapperModel):
        async def request(self, *request: Any) -> ModelResponse:
            answers = await asyncio.gather(*(self.wrapped.request(*request) for _ in range(3)))
            return answers[0]

    with OpenAIServer(says(delay=QUEUE)) as server:
        async with httpx2.AsyncClient(limits=httpx2.Limits(max_connections=1)) as client:
            provider = OpenAIProvider(base_url=server.base_url, api_key="none", http_client=client)
            member = instrument(OpenAIChatModel("gpt-4o-mini", provider=provider))
            await ask(instrument(BestOfThree(member)))
    [call] = calls
    assert [attempt.retry_reason for attempt in attempts] == [None] * 3
    assert sum(attempt.queue_wait or 0.0 for attempt in attempts) >= 3 * QUEUE  # one turn, and two
    assert call.backoff == 0
    assert call.duration is not None
    assert call.duration >= 3 * QUEUE
    assert (call.queue_wait or 0.0) < QUEUE


async def test_a_limiters_queue_before_a_retry_is_no_backoff(
    calls: list[LLMCalled], attempts: list[LLMAttempted], finished: list[AgentFinished]
) -> None:
    limiter = ConcurrencyLimiter(1)

    class Again(WrapperModel):
        async def request(self, *request: Any) -> ModelResponse:
            try:
                return await self.wrapped.request(*request)
            except ModelAPIError:
                await limiter.acquire("test")
                asyncio.get_running_loop().call_later(QUEUE, limiter.release)
                return await self.wrapped.request(*request)

    async def fail_once(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        if not attempts:
            raise ModelHTTPError(503, "m")
        return await answer(messages, info)

    with agent_run(agent_name="writer"):
        await ask(instrument(Again(instrument(ConcurrencyLimitedModel(FunctionModel(fail_once), limiter)))))
    _, retried = attempts
    assert retried.retry_reason == "provider_5xx"
    assert retried.backoff is not None
    assert retried.backoff < QUEUE <= (retried.queue_wait or 0.0)
    assert calls[0].duration is not None
    assert calls[0].duration < QUEUE
    assert finished[0].backoff_time is not None
    assert finished[0].backoff_time < QUEUE <= (finished[0].self_time or 0.0)


class BestOfTwo(WrapperModel):
    """Asks twice at once, and takes the first answer."""

    async def request(self, *request: Any) -> ModelResponse:
        answers = await asyncio.gather(*(self.wrapped.request(*request) for _ in range(2)))
        return answers[0]


class Again(WrapperModel):
    """Asks again, at once, where that failed."""

    async def request(self, *request: Any) -> ModelResponse:
        try:
            return await self.wrapped.request(*request)
        except ModelAPIError:
            return await self.wrapped.request(*request)


@pytest.mark.slow
async def test_what_is_asked_at_once_through_a_limiter_is_no_retry(
    calls: list[LLMCalled], attempts: list[LLMAttempted]
) -> None:
    limiter = ConcurrencyLimiter(1)
    asked = 0

    async def answer_late(_messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        nonlocal asked
        asked += 1
        while asked == 1 and not limiter.waiting_count:  # noqa: ASYNC110  # it sets no event
            await asyncio.sleep(0)
        await asyncio.sleep(QUEUE)
        return ModelResponse(parts=[TextPart("An answer.")])

    await ask(instrument(BestOfTwo(instrument(ConcurrencyLimitedModel(FunctionModel(answer_late), limiter)))))
    [call], [first, second] = calls, attempts
    assert (second.retry_reason, second.fallback_reason, second.backoff, call.backoff) == (None, None, None, 0)
    assert (first.duration or 0.0) >= QUEUE
    assert (second.queue_wait or 0.0) >= QUEUE
    assert call.duration is not None
    assert call.duration >= 2 * QUEUE
    assert (call.queue_wait or 0.0) < QUEUE


@pytest.mark.slow
async def test_an_attempt_of_ones_own_before_is_no_queue_of_one_side_by_side(
    calls: list[LLMCalled], attempts: list[LLMAttempted], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emit, "SHORTEST_QUEUE", QUEUE)  # no queue where the machine only stands still for a moment
    asked = 0

    async def fail_first(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        nonlocal asked
        asked += 1
        if asked == 1:
            await asyncio.sleep(QUEUE)
            raise ModelHTTPError(503, "m")
        await asyncio.sleep(2 * QUEUE if asked == 2 else 3 * QUEUE)
        return ModelResponse(parts=[TextPart("An answer.")])

    await ask(instrument(BestOfTwo(instrument(Again(instrument(FunctionModel(fail_first)))))))
    assert [attempt.outcome for attempt in attempts] == ["error", "success", "success"]
    assert [attempt.queue_wait for attempt in attempts] == [None] * 3
    assert all((attempt.backoff or 0.0) >= 0 for attempt in attempts)
    assert calls[0].queue_wait == 0


@pytest.mark.slow
async def test_a_retry_that_is_given_up_in_a_limiters_queue_is_in_the_calls_queue_wait(
    calls: list[LLMCalled], attempts: list[LLMAttempted], finished: list[AgentFinished]
) -> None:
    limiter = ConcurrencyLimiter(1)

    class AgainInTurn(WrapperModel):
        async def request(self, *request: Any) -> ModelResponse:
            try:
                return await self.wrapped.request(*request)
            except ModelAPIError:
                await limiter.acquire("test")
                return await self.wrapped.request(*request)

    async def fail(_messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        raise ModelHTTPError(503, "m")

    asked = instrument(AgainInTurn(instrument(ConcurrencyLimitedModel(FunctionModel(fail), limiter))))
    with pytest.raises(TimeoutError), agent_run(agent_name="writer"):
        await asyncio.wait_for(ask(asked), 2 * QUEUE)
    assert len(attempts) == calls[0].attempts == 1
    assert (calls[0].queue_wait or 0.0) >= QUEUE
    assert (calls[0].duration or 0.0) < QUEUE
    assert (finished[0].llm_time or 0.0) < QUEUE <= (finished[0].self_time or 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("pool_timeout", [None, QUEUE])
async def test_a_retry_that_is_given_up_in_the_pools_queue_was_none(
    pool_timeout: float | None, calls: list[LLMCalled], attempts: list[LLMAttempted], finished: list[AgentFinished]
) -> None:
    """The attempt that failed before is told once, as it was."""
    with OpenAIServer([fails(503, retry_after=0.05), says(delay=4 * QUEUE)]) as server:
        async with httpx2.AsyncClient(
            limits=httpx2.Limits(max_connections=1), timeout=httpx2.Timeout(30, pool=pool_timeout)
        ) as client:
            provider = OpenAIProvider(base_url=server.base_url, api_key="none", http_client=client)
            provider.client.max_retries = 1
            asked = instrument(OpenAIChatModel("gpt-4o-mini", provider=provider))

            async def work() -> None:
                with agent_run(agent_name="writer"):
                    await ask(asked)

            retrying = asyncio.create_task(work())
            await until(lambda: bool(server.requests))
            other = asyncio.create_task(ask(asked))
            with pytest.raises((TimeoutError, ModelAPIError)):
                await asyncio.wait_for(retrying, 0.05 + 2 * QUEUE)
            [given_up], [failed] = list(calls), list(attempts)
            await other
    assert (failed.outcome, failed.status_code, given_up.attempts) == ("error", 503, 1)
    assert (failed.duration or 0.0) < QUEUE
    assert (given_up.queue_wait or 0.0) >= QUEUE
    assert (given_up.duration or 0.0) < QUEUE
    assert (finished[0].llm_time or 0.0) < QUEUE <= (finished[0].self_time or 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("outcome", ["success", "error"])
async def test_a_wait_in_vain_before_the_first_attempt_is_its_queue(
    outcome: str, calls: list[LLMCalled], attempts: list[LLMAttempted]
) -> None:
    with OpenAIServer([says(delay=2 * QUEUE), says(delay=TIME) if outcome == "success" else fails(400)]) as server:
        async with httpx2.AsyncClient(
            limits=httpx2.Limits(max_connections=1), timeout=httpx2.Timeout(30, pool=QUEUE)
        ) as client:
            provider = OpenAIProvider(base_url=server.base_url, api_key="none", http_client=client)
            asked = instrument(OpenAIChatModel("gpt-4o-mini", provider=provider))
            other = asyncio.create_task(ask(asked))
            await until(lambda: bool(server.requests))
            await asyncio.gather(ask(asked), other, return_exceptions=True)
    call, attempt = calls[-1], attempts[-1]
    assert (call.status, attempt.outcome) == (outcome, outcome)
    assert (call.attempts, len(attempts), attempt.retry_reason, call.backoff) == (1, 2, None, 0)
    assert (attempt.queue_wait or 0.0) >= QUEUE
    assert (attempt.duration or 0.0) < QUEUE
    assert (call.duration or 0.0) < QUEUE
