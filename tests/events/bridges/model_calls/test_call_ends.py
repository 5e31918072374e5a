"""A call that a bridge tells: its events have what the bridge knows, and nothing that fails in it is raised."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import pytest

from events import LLMAttempted, LLMCalled, agent_run, llm_attempted, llm_call_started, llm_called, receiver_failed
from events.bridges.model_calls.cost import Cost
from events.bridges.model_calls.model_call import Attempt, CallEnd, ModelCall, start_call
from events.bridges.model_calls.token_usage import counted_usage


def begin(**more: Any) -> ModelCall:
    call = start_call("a_bridge", **{"model": "m", "provider": "p", "is_exact": True, **more})
    assert call is not None
    return call


def ended(end: CallEnd, **more: Any) -> LLMCalled:
    with llm_called.captured() as called:
        begin(**more).finish(end)
    [each] = called
    return each


def test_a_call_is_started_attempted_and_called_once() -> None:
    with llm_call_started.captured() as started, llm_attempted.captured() as attempts, llm_called.captured() as called:
        call = begin(streamed=True)
        for _ in range(2):
            call.finish(CallEnd(usage=counted_usage(10, 5), response_model="m-2", finish_reason="stop"))
    ids = [started[0].call_id, attempts[0].call_id, called[0].call_id]
    assert ids == [call.claim.call_id] * 3
    assert len(started) == len(attempts) == len(called) == 1
    [each] = called
    assert (each.status, each.attempts, each.streamed, each.response_model) == ("success", 1, True, "m-2")
    assert (each.prompt_tokens, each.completion_tokens, each.usage_source) == (10, 5, "provider")
    assert (each.model, each.requested_model, each.provider) == ("m", "m", "p")
    assert attempts[0].outcome == "success"


def test_a_second_attempt_is_a_retry_after_its_backoff() -> None:
    now = perf_counter()
    with llm_attempted.captured() as attempts, llm_called.captured() as called:
        call = begin(started_at=now)
        limited = {"retry-after": "2", "x-ratelimit-remaining-tokens": "7"}
        call.add_attempt(
            Attempt(started_at=now, ended_at=now + 1, status="error", error_type="rate_limited", status_code=429,
                    headers=limited)
        )  # fmt: skip
        call.add_attempt(Attempt(started_at=now + 3, ended_at=now + 4, status_code=200), response_model="m-2")
        call.finish(CallEnd(ended_at=now + 4))
    first, second = attempts
    assert (first.outcome, first.status_code, first.retry_after, first.remaining_tokens) == (
        "rate_limited",
        429,
        2.0,
        7,
    )
    assert (first.retry_reason, first.backoff) == (None, None)
    assert (second.attempt, second.retry_reason, called[0].attempts) == (2, "rate_limited", 2)
    assert second.backoff == called[0].backoff == pytest.approx(2.0)
    assert called[0].duration == pytest.approx(4.0)


def test_what_the_model_is_asked_for_is_in_the_event() -> None:
    assert ended(CallEnd()).operation == "chat"
    assert ended(CallEnd(usage=counted_usage(10, None)), operation="embeddings").operation == "embeddings"


def test_an_error_ends_call_and_attempt_alike() -> None:
    with llm_attempted.captured() as attempts, llm_called.captured() as called:
        begin().fail(TimeoutError())
        begin().fail(ConnectionError())
        begin().fail(GeneratorExit())
    for events in (attempts, called):
        each: list[LLMAttempted | LLMCalled] = [*events]
        assert [one.error_type for one in each] == ["timeout", "connection", "cancelled"]
        assert [one.error for one in each] == ["TimeoutError", "ConnectionError", ""]
    assert [each.status for each in called] == ["timeout", "error", "cancelled"]


def test_the_sellers_cost_wins_over_the_price_function() -> None:
    usage = counted_usage(10, 5)
    priced = ended(CallEnd(usage=usage), price=lambda *_: Cost(0.3, input=0.1, output=0.2))
    assert (priced.cost, priced.cost_source, priced.input_cost, priced.output_cost) == (0.3, "price_table", 0.1, 0.2)
    billed = ended(CallEnd(usage=usage, cost=0.4), price=lambda *_: 0.3)
    assert (billed.cost, billed.cost_source) == (0.4, "provider")
    assert ended(CallEnd(usage=usage), price=lambda *_: None).cost_source == "unpriced"
    assert ended(CallEnd(usage=usage)).cost_source is None
    assert ended(CallEnd(), price=lambda *_: 0.3).cost is None, "nobody counted"


def test_the_price_is_that_of_the_model_that_answered() -> None:
    asked: list[tuple[str, str]] = []

    def price(provider: str, model: str, _usage: object) -> None:
        asked.append((provider, model))

    ended(CallEnd(usage=counted_usage(1, 1), response_model="m-2024"), price=price)
    ended(CallEnd(usage=counted_usage(1, 1)), price=price)
    assert asked == [("p", "m-2024"), ("p", "m")]


@pytest.mark.lenient
def test_a_price_function_that_fails_loses_no_tokens() -> None:
    def price(*_: object) -> float:
        raise LookupError("the canary")

    with receiver_failed.captured() as failures:
        call = ended(CallEnd(usage=counted_usage(10, 5)), price=price)
    assert (call.prompt_tokens, call.cost, call.cost_source) == (10, None, "unpriced")
    assert [(each.signal, each.receiver) for each in failures] == [("llm_called", "a_bridge")]


def test_an_interruption_of_a_price_function_is_raised_once_the_call_is_emitted() -> None:
    def price(*_: object) -> float:
        raise KeyboardInterrupt

    with llm_called.captured() as called, pytest.raises(KeyboardInterrupt):
        begin(price=price).finish(CallEnd(usage=counted_usage(10, 5)))
    assert [(call.prompt_tokens, call.cost) for call in called] == [(10, None)]


def test_a_call_belongs_to_the_agent_that_began_it() -> None:
    with agent_run(agent_name="writer") as run:
        call = begin()
        with agent_run(agent_name="other"), llm_called.captured() as called:
            call.finish(CallEnd(usage=counted_usage(10, 5)))
    assert called[0].agent_name == "writer"
    assert run.totals["prompt_tokens"] == 10


def test_the_pauses_of_a_reader_are_no_time_of_the_model() -> None:
    call = begin(streamed=True)
    call.pauses.seconds = 100.0
    with llm_called.captured() as called:
        call.finish(CallEnd(ended_at=call.started_at + 103.0))
    assert called[0].duration == pytest.approx(3.0)
