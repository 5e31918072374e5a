"""How one request to a model ends: its status by the limits that ran out, and the model that it stands under."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from time import sleep
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.models.wrapper import WrapperModel

from events import LLMAttempted, LLMCalled, llm_attempted, llm_called
from events.bridges.pydantic_ai import calls, instrument, record_response_headers
from events.bridges.pydantic_ai.call_state import RequestSpec
from events.bridges.pydantic_ai.calls import OngoingRequest

PROMPT: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Say something.")])]


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(calls, "perf_counter", made)
    return made


@pytest.fixture
def attempted() -> Iterator[list[LLMAttempted]]:
    with llm_attempted.captured() as captured:
        yield captured


@pytest.fixture
def called() -> Iterator[list[LLMCalled]]:
    with llm_called.captured() as captured:
        yield captured


def ongoing(model: Any = None, *, streamed: bool = False, **settings: Any) -> OngoingRequest:
    limits: Any = settings or None
    spec = RequestSpec(messages=PROMPT, settings=limits, parameters=ModelRequestParameters(), streamed=streamed)
    return OngoingRequest(model or TestModel(), spec)


@pytest.mark.parametrize(("elapsed", "status"), [(0.49, "cancelled"), (0.5, "timeout"), (0.51, "timeout")])
def test_a_cancellation_at_the_limit_of_the_request_is_a_timeout(elapsed: float, status: str, clock: Clock) -> None:
    """The limit begins a moment, of 0.02 seconds, before the request does."""
    request = ongoing(request_timeout=0.5 + 0.02)
    clock.now = elapsed
    assert request.status_of(asyncio.CancelledError()) == status


@pytest.mark.parametrize("settings", [{"request_timeout": 0.5}, {"request_timeout": 9.0, "first_event_timeout": 0.5}])
async def test_a_limit_begins_when_pydantic_ai_set_it_however_long_the_loop_was_busy_then(settings: Any) -> None:
    with anyio.move_on_after(0.5) as scope:
        sleep(0.2)  # noqa: ASYNC251  # what holds up the loop
        request = ongoing(streamed=True, **settings)
        with pytest.raises(asyncio.CancelledError) as raised:
            await asyncio.sleep(5)
        assert request.status_of(raised.value) == "timeout"
    assert scope.cancel_called


async def test_a_block_around_that_ends_earlier_than_the_limit_cancels_the_request() -> None:
    with anyio.move_on_after(0.05) as scope, anyio.CancelScope(deadline=anyio.current_time() + 1.2):
        request = ongoing(request_timeout=1.2)
        with pytest.raises(asyncio.CancelledError) as raised:
            await asyncio.sleep(5)
        assert request.status_of(raised.value) == "cancelled"
    assert scope.cancel_called


@pytest.mark.parametrize(
    ("streamed", "has_yielded", "status"),
    [(True, False, "timeout"), (True, True, "cancelled"), (False, False, "cancelled")],
)
def test_the_limit_of_the_first_event_holds_for_a_stream_until_it_came(
    streamed: bool, has_yielded: bool, status: str, clock: Clock
) -> None:
    request = ongoing(streamed=streamed, first_event_timeout=1.0)
    request.stream_events.has_any = has_yielded
    clock.now = 5.0
    assert request.status_of(asyncio.CancelledError()) == status


def test_a_limit_is_measured_until_the_interruption(clock: Clock) -> None:
    """Which may be long before the stream is closed."""
    request = ongoing(streamed=True, request_timeout=1.0)
    request.stream_events.ended_at = 0.5
    clock.now = 5.0
    assert request.status_of(asyncio.CancelledError()) == "cancelled"
    request.stream_events.ended_at = 1.0
    assert request.status_of(asyncio.CancelledError()) == "timeout"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, "success"),
        (asyncio.CancelledError(), "cancelled"),
        (KeyboardInterrupt(), "cancelled"),
        (GeneratorExit(), "cancelled"),
        (TimeoutError(), "timeout"),
        (LookupError(), "error"),
    ],
)
def test_a_request_without_a_limit_ends_by_its_error(error: BaseException | None, status: str, clock: Clock) -> None:
    request = ongoing()
    clock.now = 1e6
    assert request.status_of(error) == status


@pytest.mark.parametrize("error", [LookupError(), KeyboardInterrupt()])
def test_only_a_cancellation_is_a_limit_that_ran_out(error: BaseException, clock: Clock) -> None:
    request = ongoing(request_timeout=1.0)
    clock.now = 5.0
    assert request.status_of(error) != "timeout"


CHAIN = FallbackModel(TestModel(model_name="first"), TestModel(model_name="second"))


def test_the_answer_of_a_chain_stands_under_the_member_that_gave_it(
    attempted: list[LLMAttempted], called: list[LLMCalled]
) -> None:
    """Where the members are not instrumented by themselves, the answer's model says which it was."""
    ongoing(CHAIN).finish("success", response=ModelResponse(parts=[TextPart("Fine.")], model_name="second-2026"))
    assert [(each.model, each.outcome) for each in attempted] == [("second", "success")]
    assert [(each.model, each.status, each.attempts) for each in called] == [("second", "success", 1)]


def test_an_answer_of_nobody_known_stands_under_the_first_member(called: list[LLMCalled]) -> None:
    ongoing(CHAIN).finish("success", response=ModelResponse(parts=[TextPart("Fine.")], model_name="third"))
    assert [each.model for each in called] == ["first"]


def test_a_single_model_is_the_one_that_was_asked_whatever_the_answer_says(called: list[LLMCalled]) -> None:
    ongoing(TestModel(model_name="asked")).finish(
        "success", response=ModelResponse(parts=[TextPart("Fine.")], model_name="other")
    )
    assert [(each.model, each.response_model) for each in called] == [("asked", "other")]


@pytest.mark.parametrize("model", [CHAIN, TestModel(model_name="first")])
def test_a_request_without_an_answer_is_emitted_once_under_the_first_model(
    model: Any, attempted: list[LLMAttempted], called: list[LLMCalled]
) -> None:
    request = ongoing(model)
    request.finish("error", LookupError())
    request.finish("success")
    assert [(each.model, each.outcome) for each in attempted] == [("first", "error")]
    assert [(each.model, each.status, each.error) for each in called] == [("first", "error", "LookupError")]


def test_an_answer_that_was_refused_is_an_error(attempted: list[LLMAttempted], called: list[LLMCalled]) -> None:
    ongoing().finish("success", response=ModelResponse(parts=[], finish_reason="content_filter"))
    assert [(each.outcome, each.error_type) for each in attempted] == [("error", "content_filtered")]
    assert [(each.status, each.error_type) for each in called] == [("error", "content_filtered")]


def test_a_duration_is_from_the_start_to_the_end(clock: Clock, called: list[LLMCalled]) -> None:
    clock.now = 10.0
    request = ongoing()
    clock.now = 12.5
    request.finish("success", response=ModelResponse(parts=[TextPart("Fine.")]))
    clock.now = 20.0
    request.finish("success")
    assert [each.duration for each in called] == [2.5]


async def test_a_wrapper_that_asks_another_model_meanwhile_is_one_call(
    attempted: list[LLMAttempted], called: list[LLMCalled]
) -> None:
    await instrument(WrapperModel(instrument(TestModel()))).request(PROMPT, None, ModelRequestParameters())
    assert (len(attempted), len(called)) == (1, 1)


async def test_a_request_after_the_end_of_its_call_is_a_call_of_its_own(called: list[LLMCalled]) -> None:
    """What a call leaves running may ask again."""
    request = ongoing()
    with request.as_parent():
        assert ongoing().is_attempt
        request.finish("success", response=ModelResponse(parts=[TextPart("Fine.")]))
        assert not ongoing().is_attempt
    assert not ongoing().is_attempt
    assert len(called) == 1


async def test_headers_outside_of_a_request_are_nobodys() -> None:
    response = SimpleNamespace(status_code=200, headers={"a": "b"})
    await record_response_headers(response)
    request = ongoing()
    with request.as_parent():
        await record_response_headers(response)
    assert (request.status_code, request.headers) == (200, {"a": "b"})
