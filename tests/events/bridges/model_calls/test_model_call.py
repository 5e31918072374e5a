"""A call while it is under way: when nobody would get its events, and whose the time of its stream is."""

from __future__ import annotations

from time import sleep

import pytest

from events import agent_run, llm_attempted, llm_call_started, llm_called, strict
from events.bridges.model_calls.claims import claim_own_call
from events.bridges.model_calls.model_call import Attempt, CallEnd, ModelCall, is_idle, start_call
from events.bridges.model_calls.token_usage import counted_usage
from events.bus.fields import ErrorType, Status


@pytest.mark.lenient
def test_a_bridge_is_idle_while_nobody_would_get_an_event() -> None:
    assert is_idle()
    for signal in (llm_call_started, llm_attempted, llm_called):
        with signal.captured():
            assert not is_idle()
    with agent_run(agent_name="copywriter"):  # which sums what is emitted inside
        assert not is_idle()
    with strict():
        assert not is_idle()
    assert is_idle()


def duration_of(*, is_open: bool) -> float | None:
    with llm_called.captured() as called:
        call = start_call("bridge", model="m", provider="p", is_exact=True)
        assert call is not None
        if is_open:
            call.open_stream()
        sleep(0.02)
        call.finish(CallEnd())
    return called[0].duration


def test_the_time_from_which_a_stream_may_be_read_is_its_readers() -> None:
    pause = duration_of(is_open=True)
    assert pause is not None
    assert pause < 0.02
    waiting = duration_of(is_open=False)
    assert waiting is not None
    assert waiting >= 0.02


def test_an_attempt_at_another_model_is_a_fallback_and_the_call_is_of_the_last_one() -> None:
    def attempt(started_at: float, model: str, error_type: ErrorType | None = None) -> Attempt:
        status: Status = "success" if error_type is None else "error"
        return Attempt(
            started_at=started_at,
            ended_at=started_at + 1,
            status=status,
            error_type=error_type,
            model=model,
            provider="p",
        )

    with llm_call_started.captured() as started, llm_attempted.captured() as attempted, llm_called.captured() as called:
        claim = claim_own_call()
        call = ModelCall("b", claim, model="a", provider="p", requested_model="group", started_at=0.0)
        call.add_attempt(attempt(0.0, "a", "provider_5xx"))
        call.add_attempt(attempt(2.0, "a", "rate_limited"))
        call.add_attempt(attempt(5.0, "b"))
        call.finish(CallEnd(ended_at=6.0))
    assert (started[0].requested_model, started[0].model) == ("group", "a")
    assert (called[0].requested_model, called[0].model) == ("group", "b")
    assert [(each.model, each.retry_reason, each.fallback_reason) for each in attempted] == [
        ("a", None, None),
        ("a", "provider_5xx", None),
        ("b", None, "rate_limited"),
    ]
    assert [(each.from_model, each.to_model, each.from_provider) for each in attempted][1:] == [
        (None, None, None),
        ("a", "b", "p"),
    ]
    assert [each.backoff for each in attempted] == [None, 1.0, None]
    assert called[0].backoff == 1.0


@pytest.mark.lenient
def test_no_price_is_asked_for_an_event_that_nobody_gets() -> None:
    asked: list[str] = []

    def price(_provider: str, model: str, _usage: object) -> float:
        asked.append(model)
        return 0.01

    def finish_call() -> None:
        call = start_call("bridge", model="m", provider="p", is_exact=True, price=price)
        assert call is not None
        call.finish(CallEnd(usage=counted_usage(10, 2)))

    with llm_attempted.captured() as attempted:
        finish_call()
    assert (len(attempted), asked) == (1, [])
    with agent_run(agent_name="copywriter") as run:  # which sums the costs of its calls
        finish_call()
    assert asked == ["m"]
    assert run.totals["cost"] == 0.01
