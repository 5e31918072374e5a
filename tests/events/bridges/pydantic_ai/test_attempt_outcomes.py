"""Which HTTP requests of a model's SDK are attempts, and how each ended, by what is recorded of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from events.bridges.model_calls.token_times import TokenTimes
from events.bridges.pydantic_ai import http_attempts
from events.bridges.pydantic_ai.call_state import SHORTEST_QUEUE, RequestOutcome
from events.bridges.pydantic_ai.http_attempts import (
    HTTPAttempt,
    attempts_at_answer,
    is_retried_by,
    last_outcome,
    outcome_of,
    retried_by,
    retried_outcome,
)


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace the clock by one that stands still until its only item is changed."""
    moment = [100.0]
    monkeypatch.setattr(http_attempts, "perf_counter", lambda: moment[0])
    return moment


class PoolTimeout(Exception):
    """Named as httpx's of a request that got no connection."""


class TransportError(Exception):
    """Named as httpx's of a request that has no response."""


class ReadError(TransportError):
    """One of these."""


def sent(url: str = "/chat", started_at: float = 1.0, ended_at: float | None = 2.0, **recorded: Any) -> HTTPAttempt:
    return HTTPAttempt(recorded.pop("method", "POST"), url, started_at=started_at, ended_at=ended_at, **recorded)


def queued(error: BaseException | None, **recorded: Any) -> HTTPAttempt:
    return sent(is_traced=True, error=error, **recorded)


@pytest.mark.parametrize(("waited", "pool_wait"), [(SHORTEST_QUEUE / 2, 0.0), (1.0, 1.0)])
def test_a_request_begins_when_it_gets_a_connection(waited: float, pool_wait: float, now: list[float]) -> None:
    attempt = HTTPAttempt("POST", "/chat", started_at=0.0)
    now[0] = waited
    attempt.begin()
    assert (attempt.pool_wait, attempt.started_at, attempt.has_connection) == (pool_wait, pool_wait, True)
    now[0] = 5.0
    attempt.end()
    assert (attempt.ended_at, attempt.error) == (5.0, None)


def test_a_wait_as_long_as_the_shortest_queue_is_one(now: list[float]) -> None:
    attempt = HTTPAttempt("POST", "/chat", started_at=0.0)
    now[0] = SHORTEST_QUEUE
    attempt.begin()
    assert attempt.pool_wait == SHORTEST_QUEUE == 0.005


@pytest.mark.parametrize(
    ("attempt", "given_up"),
    [
        (queued(PoolTimeout()), True),
        (queued(asyncio.CancelledError()), True),
        (queued(None), False),
        (queued(LookupError()), False),
        (queued(PoolTimeout(), has_connection=True), False),
        (sent(error=PoolTimeout()), False),
    ],
)
def test_a_request_that_never_got_a_connection_was_given_up_in_the_queue(attempt: HTTPAttempt, given_up: bool) -> None:
    assert attempt.was_given_up_in_queue is given_up


@pytest.mark.parametrize(
    ("recorded", "is_redirect", "has_failed", "error_type"),
    [
        ({"status_code": 200}, False, False, None),
        ({"status_code": 299}, False, False, None),
        ({"status_code": 300}, True, False, None),
        ({"status_code": 399}, True, False, None),
        ({"status_code": 400}, False, True, "invalid_request"),
        ({"status_code": 429}, False, True, "rate_limited"),
        ({"status_code": 429, "exceeds_quota": True}, False, True, "quota_exceeded"),
        ({"status_code": 500}, False, True, "provider_5xx"),
        ({}, False, False, None),
        ({"error": TimeoutError()}, False, True, "timeout"),
        ({"error": ReadError()}, False, True, "connection"),
        ({"error": TransportError()}, False, True, "connection"),
        ({"error": LookupError()}, False, True, "other"),
        ({"error": asyncio.CancelledError()}, False, False, "cancelled"),
    ],
)
def test_a_request_has_failed_by_its_error_or_its_status(
    recorded: dict[str, Any], is_redirect: bool, has_failed: bool, error_type: str | None
) -> None:
    attempt = sent(**recorded)
    assert (attempt.is_redirect, attempt.has_failed, attempt.error_type) == (is_redirect, has_failed, error_type)


def test_attempts_are_the_requests_like_the_one_that_answered() -> None:
    upload, token = sent("/files"), sent(method="GET")
    first, moved, waiting, last = (
        sent(status_code=500), sent(status_code=307), queued(PoolTimeout()), sent(status_code=200),
    )  # fmt: skip
    assert attempts_at_answer([upload, first, moved, token, waiting, last]) == [first, last]
    assert attempts_at_answer([upload]) == [upload]
    assert attempts_at_answer([moved, upload]) == [upload]
    assert attempts_at_answer([first, upload]) == [upload]
    assert attempts_at_answer([moved]) == attempts_at_answer([]) == []


@pytest.mark.parametrize(
    ("recorded", "later", "is_retried"),
    [
        ({"status_code": 500}, {}, True),
        ({"status_code": 200}, {}, False),
        ({"status_code": 307, "error": LookupError()}, {}, False),
        ({"status_code": 500}, {"url": "/files"}, False),
        ({"status_code": 500}, {"method": "GET"}, False),
    ],
)
def test_a_request_is_retried_by_one_that_is_like_it(
    recorded: dict[str, Any], later: dict[str, Any], is_retried: bool
) -> None:
    attempt = sent(**recorded)
    assert is_retried_by(attempt, sent(**later)) is is_retried
    assert retried_by([attempt], sent(**later)) == [attempt] * is_retried
    attempt.is_emitted = True
    assert retried_by([attempt], sent(**later)) == []


@pytest.mark.parametrize(
    ("recorded", "status"),
    [
        ({"status_code": 200}, "success"),
        ({"status_code": 500}, "error"),
        ({"error": TimeoutError()}, "timeout"),
        ({"error": asyncio.CancelledError()}, "cancelled"),
    ],
)
def test_an_attempt_ends_as_its_request_did(recorded: dict[str, Any], status: str) -> None:
    outcome = outcome_of(sent(started_at=1.0, ended_at=3.0, pool_wait=0.5, **recorded))
    assert (outcome.status, outcome.started_at, outcome.ended_at, outcome.pool_wait) == (status, 1.0, 3.0, 0.5)
    assert outcome.error is recorded.get("error")


def test_an_attempt_that_has_not_ended_ends_now() -> None:
    assert outcome_of(sent(ended_at=None)).ended_at == 100.0


def test_the_first_attempt_has_what_the_sdk_did_before_it() -> None:
    first, second = sent(started_at=5.0, pool_wait=0.5, status_code=500), sent(started_at=8.0, status_code=500)
    requests = [first, second]
    assert retried_outcome(requests, first, 1.0).started_at == 1.5
    assert retried_outcome(requests, second, 1.0).started_at == 8.0
    assert (first.is_emitted, second.is_emitted) == (True, True)


def test_a_first_attempt_after_one_that_waited_in_vain_begins_by_itself() -> None:
    attempt = sent(started_at=5.0, pool_wait=0.5, status_code=500)
    assert retried_outcome([queued(PoolTimeout()), attempt], attempt, 1.0).started_at == 5.0


def ended(error: BaseException | None = None) -> RequestOutcome:
    return RequestOutcome(
        status="success", error=error, started_at=1.0, ended_at=9.0, token_times=TokenTimes(), asked_at=(0.5,)
    )


def test_the_last_attempt_ends_as_the_request_to_the_model_did() -> None:
    assert last_outcome([], ended()).started_at == 1.0
    alone = last_outcome([sent(started_at=5.0, pool_wait=0.25)], ended())
    assert (alone.started_at, alone.ended_at, alone.pool_wait) == (1.25, 9.0, 0.25)
    second = last_outcome([sent(started_at=3.0), sent(started_at=5.0)], ended())
    assert (second.started_at, second.ended_at) == (5.0, 9.0)


def test_a_failed_attempt_whose_retry_was_cancelled_meanwhile_ended_as_it_did() -> None:
    failed = [sent(status_code=500), sent(started_at=3.0, ended_at=4.0, status_code=500)]
    cancelled = last_outcome(failed, ended(asyncio.CancelledError()))
    assert (cancelled.status, cancelled.ended_at, cancelled.asked_at) == ("error", 4.0, (0.5,))
    assert last_outcome(failed, ended(LookupError())).ended_at == 9.0
    assert last_outcome([sent(), sent()], ended(asyncio.CancelledError())).ended_at == 9.0
