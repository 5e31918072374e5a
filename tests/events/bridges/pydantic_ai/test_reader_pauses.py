"""A slow reader's time is not the model's: durations and the time between tokens are as with a reader that waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from time import perf_counter

import pytest
from pydantic_ai.messages import ModelMessage, ModelRequest, UserPromptPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.providers.openai import OpenAIProvider

from events import LLMAttempted, LLMCalled, llm_attempted, llm_called
from events.bridges.model_calls.reader_pauses import ReaderPauses
from events.bridges.pydantic_ai import instrument
from tests.support.openai_server import OpenAIServer, Usage, says

pytestmark = pytest.mark.slow

PROMPT: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Say something.")])]
WORDS = 20
STEP = 0.02  # seconds between two of the model's words


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(says(" w" * WORDS, usage=Usage(11, WORDS), pause=STEP)) as running:
        yield running


def chat(server: OpenAIServer) -> Model:
    return OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(base_url=server.base_url, api_key="none"))


async def read(model: Model, pause_after: Callable[[int], float], leave_after: int | None = None) -> float:
    """Read a stream, pausing for so many seconds after each event, and return how long that took."""
    started_at = perf_counter()
    async with model.request_stream(PROMPT, None, ModelRequestParameters()) as events:
        count = 0
        async for _ in events:
            count += 1
            if seconds := pause_after(count):
                await asyncio.sleep(seconds)
            if count == leave_after:
                break
    return perf_counter() - started_at


async def events_of(
    model: Model, pause_after: Callable[[int], float], leave_after: int | None = None
) -> tuple[LLMCalled, LLMAttempted, float]:
    with llm_called.captured() as calls, llm_attempted.captured() as attempts:
        elapsed = await read(model, pause_after, leave_after)
    [call], [attempt] = calls, attempts
    return call, attempt, elapsed


@pytest.mark.slow
async def test_a_reader_that_is_faster_than_the_model_sees_the_models_times(server: OpenAIServer) -> None:
    call, attempt, elapsed = await events_of(instrument(chat(server)), lambda _: STEP / 4)
    assert STEP / 2 < (call.time_per_output_token or 0.0) < 3 * STEP
    assert call.duration == pytest.approx(elapsed, abs=4 * STEP)
    assert attempt.duration == call.duration


@pytest.mark.slow
async def test_a_reader_that_is_slower_than_the_model_adds_nothing(server: OpenAIServer) -> None:
    call, attempt, elapsed = await events_of(instrument(chat(server)), lambda _: 4 * STEP)
    assert elapsed > 4 * STEP * WORDS
    assert (call.duration or 0.0) < elapsed / 2
    assert attempt.duration == call.duration
    assert call.time_per_output_token is None


@pytest.mark.slow
@pytest.mark.parametrize("wrap", [instrument, lambda model: instrument(WrapperModel(instrument(model))),
                                  lambda model: instrument(FallbackModel(model, model))],
                         ids=["plain", "nested", "fallback"])  # fmt: skip
async def test_a_long_pause_after_which_all_was_there_is_the_readers(
    wrap: Callable[[Model], Model], server: OpenAIServer
) -> None:
    call, attempt, elapsed = await events_of(wrap(chat(server)), lambda count: 3 if count == 8 else 0)
    assert (call.duration or 0.0) < elapsed - 2
    assert attempt.duration == pytest.approx(call.duration, abs=0.3)
    assert STEP / 2 < (call.time_per_output_token or 0.0) < 3 * STEP


@pytest.mark.slow
async def test_a_pause_during_which_the_model_was_at_work_is_the_models(server: OpenAIServer) -> None:
    call, _, elapsed = await events_of(instrument(chat(server)), lambda count: 5 * STEP if count == 8 else 0)
    assert call.duration == pytest.approx(elapsed, abs=4 * STEP)
    assert STEP / 2 < (call.time_per_output_token or 0.0) < 3 * STEP


async def test_what_a_reader_does_before_it_leaves_is_its_own(server: OpenAIServer) -> None:
    call, attempt, elapsed = await events_of(
        instrument(chat(server)), lambda count: 0.5 if count == 4 else 0, leave_after=4
    )
    assert (call.status, attempt.outcome) == ("cancelled", "cancelled")
    assert 0 < (call.duration or 0.0) < elapsed - 0.4


class Clock:
    """A clock that a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.computed = 0.0
        monkeypatch.setattr("events.bridges.model_calls.reader_pauses.perf_counter", lambda: self.now)
        monkeypatch.setattr("events.bridges.model_calls.reader_pauses.thread_time", lambda: self.computed)

    def pause(self, pauses: ReaderPauses, seconds: float) -> None:
        pauses.begin()
        self.now += seconds
        pauses.end()

    def wait(self, pauses: ReaderPauses, seconds: float, *, computing: float = 0.0) -> float:
        self.now += seconds + computing
        self.computed += computing
        return pauses.arrive()


@pytest.mark.parametrize(
    ("steps", "readers", "sees_arrival"),
    [
        ([(0, 0.02), (0, 0.02)], 0, True),
        ([(0, 0.0005)] * 5, 0, True),  # a model of two thousand tokens a second
        ([(0, 0.02), (0.05, 0.0001)], 0.05, False),
        ([(0, 0.02), (0.05, 0.002)], 0, True),  # the reader waited: the model was at work
        ([(0, 0.02), (0.05, 0), (0, 0), (0, 0.02)], 0, True),  # it was still at work later
        ([(0, 0.02), (1, 0), *[(0, 0.02)] * 6], 0, True),  # and for a longer time
        ([(0, 0.02), (10, 0), *[(0, 0.01)] * 20], 10, False),  # the processor was busy with other things
        ([(0, 0.02), (0.00001, 0), (0.00001, 0)], 0.00002, True),  # several events in one piece
    ],
)
def test_a_pause_is_the_readers_until_it_waits_for_the_model(
    steps: list[tuple[float, float]], readers: float, sees_arrival: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    pauses = ReaderPauses()
    for pause, wait in steps:
        clock.pause(pauses, pause)
        clock.wait(pauses, wait)
    assert pauses.seconds == pytest.approx(readers)
    assert pauses.sees_arrival is sees_arrival


def test_to_parse_an_event_is_not_to_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    pauses = ReaderPauses()
    clock.pause(pauses, 0.1)
    clock.wait(pauses, 0.0002, computing=0.05)
    assert pauses.seconds == pytest.approx(0.1)
    assert not pauses.sees_arrival
