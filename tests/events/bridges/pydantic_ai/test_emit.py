"""The events of a call and its attempts: retries, fallbacks, the waits between them, and what each model is billed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.test import TestModel

from events import LLMAttempted, llm_attempted, llm_called, llm_usage_billed
from events.bridges.model_calls.token_times import TokenTimes
from events.bridges.model_calls.token_usage import TokenUsage
from events.bridges.pydantic_ai.answers import find_answer
from events.bridges.pydantic_ai.billing import Billing
from events.bridges.pydantic_ai.call_state import Answer, AskedModel, CallState, RequestOutcome, RequestSpec
from events.bridges.pydantic_ai.emit import emit_attempted, emit_called, token_latencies

ONE, TWO = TestModel(model_name="one"), TestModel(model_name="two")


def new_call() -> CallState:
    spec = RequestSpec(messages=[], settings=None, parameters=ModelRequestParameters(), streamed=False)
    return CallState(spec, "one")


def outcome(started_at: float, ended_at: float, *, error: BaseException | None = None, **more: Any) -> RequestOutcome:
    return RequestOutcome(
        **{
            "status": "success" if error is None else "error",
            "error": error,
            "started_at": started_at,
            "ended_at": ended_at,
            "token_times": TokenTimes(),
            **more,
        }
    )


def attempt(call: CallState, model: Model, made: RequestOutcome, headers: Any = (), code: Any = None) -> LLMAttempted:
    with llm_attempted.captured() as attempts:
        emit_attempted(call, model, made, None, dict(headers), code)
    [event] = attempts
    return event


def test_an_attempt_at_the_same_model_is_a_retry_and_waited_since_the_last() -> None:
    call = new_call()
    first = attempt(call, ONE, outcome(1.0, 2.0, error=LookupError()))
    assert (first.attempt, first.retry_reason, first.fallback_reason, first.backoff) == (1, None, None, None)
    second = attempt(call, ONE, outcome(4.5, 5.0, error=LookupError()))
    assert (second.attempt, second.retry_reason, second.fallback_reason, second.backoff) == (2, "other", None, 2.5)
    assert (second.from_model, second.to_model, second.from_provider) == (None, None, None)
    attempt(call, ONE, outcome(6.0, 7.0))
    assert (call.attempts, call.backoff) == (3, 3.5)


def test_an_attempt_at_another_model_is_a_fallback_without_a_wait() -> None:
    call = new_call()
    attempt(call, ONE, outcome(1.0, 2.0, error=LookupError(), fault="rate_limited"))
    second = attempt(call, TWO, outcome(2.0, 3.0))
    assert (second.retry_reason, second.fallback_reason, second.backoff) == (None, "rate_limited", None)
    assert (second.from_model, second.to_model, second.from_provider) == ("one", "two", "test")
    assert call.backoff == 0


@pytest.mark.parametrize("model", [ONE, TWO])
def test_attempts_at_the_same_time_are_neither(model: Model) -> None:
    call = new_call()
    attempt(call, ONE, outcome(1.0, 3.0, error=LookupError()))
    second = attempt(call, model, outcome(2.9, 4.0))
    assert (second.retry_reason, second.fallback_reason, second.backoff, second.from_model) == (None,) * 4


def test_a_rejected_answer_is_a_reason_too() -> None:
    call = new_call()
    attempt(call, ONE, outcome(1.0, 2.0))
    assert attempt(call, ONE, outcome(2.0, 3.0)).retry_reason == "other"


HEADERS = {"retry-after": "2", "x-ratelimit-limit-requests": "9", "x-ratelimit-remaining-requests": "8",
           "x-ratelimit-limit-tokens": "7", "x-ratelimit-remaining-tokens": "6"}  # fmt: skip


def test_the_headers_have_the_rate_limits_and_of_a_failure_the_wait() -> None:
    fine = attempt(new_call(), ONE, outcome(1.0, 2.0), HEADERS, 200)
    limits = (fine.limit_requests, fine.remaining_requests, fine.limit_tokens, fine.remaining_tokens)
    assert (limits, fine.retry_after, fine.status_code, fine.outcome) == ((9, 8, 7, 6), None, 200, "success")
    failed = attempt(new_call(), ONE, outcome(1.0, 2.0, error=LookupError(), fault="rate_limited"), HEADERS, 429)
    assert (failed.retry_after, failed.status_code, failed.outcome, failed.error) == (
        2.0, 429, "rate_limited", "LookupError",
    )  # fmt: skip


def test_an_error_that_says_its_code_and_wait_is_believed() -> None:
    error = LookupError()
    error.status_code, error.retry_after = 503, 7.0  # type: ignore[attr-defined]  # as pydantic-ai's
    failed = attempt(new_call(), ONE, outcome(1.0, 2.0, error=error), HEADERS, 429)
    assert (failed.status_code, failed.retry_after) == (503, 7.0)


def test_an_outcome_has_a_duration_without_pauses_and_no_error_of_closing() -> None:
    assert outcome(1.0, 4.0, reader_pauses=1.0).duration == 2.0
    assert outcome(1.0, 4.0, reader_pauses=9.0).duration == 0.0
    assert outcome(1.0, 2.0, error=GeneratorExit()).error_name == ""
    assert outcome(1.0, 2.0, error=KeyError()).error_name == "KeyError"
    assert outcome(1.0, 2.0).error_type is None
    assert outcome(1.0, 2.0, error=KeyError(), fault="auth").error_type == "auth"


@pytest.mark.parametrize(
    ("first", "second", "model", "waits"),
    [
        ((1.0, 2.0), (4.0, 5.0, 3.0), ONE, (1.0, 1.0)),  # asked again a second after the first, and held back another
        ((1.0, 2.0), (4.0, 5.0, 3.0), TWO, (None, 2.0)),  # a fallback is asked at once
        ((1.0, 3.0), (2.5, 4.0, 2.0), ONE, (None, 0.5)),  # side by side
        ((1.0, 2.0), (3.0, 4.0, 2.996), ONE, (0.996, None)),  # too short for a queue
        ((-2.0, -1.0), (0.005, 1.0, 0.0), ONE, (1.0, 0.005)),
    ],
)
def test_an_attempt_waited_before_it_was_asked_for_and_in_the_queue_after_that(
    first: tuple[float, float], second: tuple[float, float, float], model: Model, waits: tuple[Any, Any]
) -> None:
    call = new_call()
    call.started_at = first[0]
    attempt(call, ONE, outcome(*first, error=LookupError()))
    made = attempt(call, model, outcome(*second[:2], asked_at=second[2:]))
    assert (made.backoff, made.queue_wait) == (pytest.approx(waits[0]) if waits[0] else None, waits[1])


def test_a_first_attempt_waits_in_a_queue_since_the_call_began() -> None:
    call = new_call()
    call.started_at = 1.0
    assert attempt(call, ONE, outcome(3.0, 4.0, pool_wait=1.0)).queue_wait == 2.0
    assert call.queue_wait(9.0) == 2.0
    assert attempt(call, ONE, outcome(6.0, 7.0, pool_wait=1.5)).backoff == 0.5


def test_a_call_that_only_waited_in_queues_has_waited_for_as_long() -> None:
    call = new_call()
    call.started_at = 1.0
    assert call.queue_wait(9.0) == 0.0
    call.intervals = [("attempt", 1.0, 2.0)]
    assert call.queue_wait(9.0) == 0.0
    call.intervals = [("queue", 1.0, 3.0)]
    assert (call.queue_wait(9.0), call.queue_wait(2.5)) == (2.0, 1.5)
    call.intervals.append(("attempt", 2.0, 4.0))
    assert call.queue_wait(9.0) == 1.0


def answer(response: Any, *, complete: bool = True, usage: TokenUsage | None = None, model: str = "m") -> Answer:
    return Answer(
        model=TestModel(),
        asked=AskedModel(model, "p"),
        response=response,
        parts=response.parts,
        response_model=f"{model}-2026",
        complete=complete,
        billing=Billing(usage=usage or TokenUsage()),
    )


PRICED = Billing(usage=TokenUsage(prompt_tokens=3), cost=0.5, cost_source="price_table", input_cost=0.5)
BILLED = Billing(usage=TokenUsage(prompt_tokens=4), cost=1.0, cost_source="provider")


@pytest.mark.parametrize(
    ("answers", "bills"),
    [
        ([("one", PRICED)], []),
        ([("one", PRICED), ("one", PRICED)], []),
        ([("one", PRICED), ("two", Billing())], []),
        ([("two", PRICED)], [("two", 3, 0.5, "price_table")]),
        ([("one", PRICED), ("two", PRICED), ("one", PRICED)],
         [("one", 6, 1.0, "price_table"), ("two", 3, 0.5, "price_table")]),
        ([("one", PRICED), ("one", BILLED)], [("one", 3, 0.5, "price_table"), ("one", 4, 1.0, "provider")]),
    ],
    ids=["of one model", "twice", "without a bill", "of another model", "of two models", "of two sources"],
)  # fmt: skip
def test_a_call_is_itemized_where_its_answers_are_billed_by_more_than_one(
    answers: list[tuple[str, Billing]], bills: list[Any]
) -> None:
    call = new_call()
    for model, billing in answers:
        given = answer(ModelResponse(parts=[TextPart(model)]), model=model)
        call.answers.append(replace(given, billing=billing))
    call.asked = AskedModel("one", "p")
    with llm_usage_billed.captured() as billed, llm_called.captured() as called:
        emit_called(call, ONE, outcome(1.0, 2.0, error=LookupError()), None)
    assert [(each.model, each.prompt_tokens, each.cost, each.cost_source) for each in billed] == bills
    assert {(each.call_id, each.provider, each.response_model) for each in billed} == {
        (call.id, "p", f"{model}-2026") for model, *_ in bills
    }
    [event] = called
    assert event.itemized is bool(bills)
    assert event.cost == sum(billing.cost or 0.0 for _, billing in answers)


def test_the_answer_of_a_call_is_its_response_or_a_copy_or_the_last_that_is_complete() -> None:
    first, last, cut = (ModelResponse(parts=[TextPart(text)]) for text in ("first", "last", "cut"))
    call = new_call()
    assert find_answer(call, None) is find_answer(call, first) is None
    call.answers += [answer(first), answer(last), answer(cut, complete=False)]
    assert find_answer(call, None) is None
    assert find_answer(call, first) is call.answers[0]
    assert find_answer(call, ModelResponse(parts=first.parts)) is call.answers[0]
    assert find_answer(call, cut) is call.answers[2]
    assert find_answer(call, ModelResponse(parts=[TextPart("first")])) is call.answers[1]


def times(*moments: float) -> TokenTimes:
    made = TokenTimes()
    for moment in moments:
        made.add(moment, 2, sees_arrival=True)
    return made


def test_the_first_token_is_waited_for_since_the_call_began() -> None:
    """Where the call has seen none, its last attempt may have."""
    call = new_call()
    made = answer(ModelResponse(parts=[]), usage=TokenUsage(completion_tokens=4))
    assert token_latencies(call, outcome(1.0, 9.0), made) == (None, None)
    assert token_latencies(call, outcome(1.0, 9.0, token_times=times(3.0, 5.0)), made) == (2.0, 1.0)
    assert token_latencies(call, outcome(1.0, 9.0, token_times=times(3.0, 5.0)), None) == (2.0, None)
    call.last = None, outcome(2.0, 9.0, token_times=times(4.0, 8.0))
    assert token_latencies(call, outcome(1.0, 9.0), made) == (3.0, 2.0)
    assert token_latencies(call, outcome(1.0, 9.0, token_times=times(3.0, 5.0)), made) == (2.0, 1.0)
