"""The HTTP requests that a provider's SDK sent for one request to a model, as attempts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any, cast

from ...bus.fields import ErrorType, Status
from ...bus.timeout_errors import is_timeout
from ..model_calls.error_types import error_type_of, error_type_of_status_code
from ..model_calls.response_headers import NO_HEADERS
from ..model_calls.token_times import TokenTimes
from .call_state import SHORTEST_QUEUE, RequestOutcome

TRANSPORT_ERRORS = ("RequestError", "TransportError")
"""httpx's classes of the errors of a request that has no response, or not all of one."""


class HTTPAttempt:
    """One HTTP request, and what became of it; times are those of `time.perf_counter`.

    Attributes:
        url: httpx's URL: it is compared, and made a text nowhere.
        exceeds_quota: Whether the body says so; the status alone does not.
        is_traced: Whether its transport has a pool of connections, and says when it has one.
        pool_wait: Seconds that it waited for a connection of the client's pool; ``started_at`` is after them.
    """

    # Defaults of the class, since each attribute that is set takes time.
    ended_at: float | None = None
    status_code: int | None = None
    headers: Mapping[str, str] = NO_HEADERS
    error: BaseException | None = None
    exceeds_quota = is_emitted = is_traced = has_connection = False
    pool_wait = 0.0

    def __init__(self, method: str, url: Any, *, started_at: float | None = None, **more: Any) -> None:
        self.method = method
        self.url = url
        self.started_at = perf_counter() if started_at is None else started_at
        if more:
            vars(self).update(more)

    def begin(self) -> None:
        """Record that the request has its connection now; what was before was the wait for one."""
        now, self.has_connection = perf_counter(), True
        if now - self.started_at >= SHORTEST_QUEUE:
            self.pool_wait, self.started_at = now - self.started_at, now

    def end(self, error: BaseException | None = None) -> None:
        """Record that the request ended now, with an error or without one."""
        self.ended_at, self.error = perf_counter(), error

    @property
    def was_given_up_in_queue(self) -> bool:
        """Whether it never got a connection, so that it was not sent."""
        if self.has_connection or not self.is_traced or self.error is None:
            return False
        return type(self.error).__name__ == "PoolTimeout" or not isinstance(self.error, Exception)

    @property
    def is_redirect(self) -> bool:
        """Whether the response only names another place."""
        return self.status_code is not None and 300 <= self.status_code < 400

    @property
    def has_failed(self) -> bool:
        """Whether it is known to have failed, by itself: one that was cancelled has not."""
        return isinstance(self.error, Exception) or (self.status_code or 0) >= 400

    @property
    def error_type(self) -> ErrorType | None:
        """Why the request failed; None where it did not."""
        error = self.error
        if self.exceeds_quota:
            return "quota_exceeded"
        if error is None:
            return error_type_of_status_code(self.status_code)
        if is_timeout(error):
            return "timeout"
        names = {parent.__name__ for parent in type(error).__mro__}
        return "connection" if names.intersection(TRANSPORT_ERRORS) else error_type_of(error)


def attempts_at_answer(requests: Sequence[HTTPAttempt]) -> list[HTTPAttempt]:
    """Return the requests that are attempts: those like the one that answered, or failed last, in method and URL.

    Others are auxiliary, such as the upload of a file or the renewal of a token. A redirect is part of the request that
    follows it; one that never got a connection was not sent.
    """
    requests = [each for each in requests if not each.is_redirect and not each.was_given_up_in_queue]
    if len(requests) < 2:
        return requests
    last = requests[-1]
    return [each for each in requests if each.method == last.method and each.url == last.url]


def is_retried_by(attempt: HTTPAttempt, later: HTTPAttempt) -> bool:
    """Return whether a request that failed is sent again by a later one."""
    return attempt.has_failed and not attempt.is_redirect and (attempt.method, attempt.url) == (later.method, later.url)


def outcome_of(attempt: HTTPAttempt) -> RequestOutcome:
    """Return how an attempt ended whose error, if it had one, the SDK kept to itself."""
    error_type = attempt.error_type
    status: Status = "success" if error_type is None else "error"
    if error_type in {"timeout", "cancelled"}:
        status = cast("Status", error_type)
    return RequestOutcome(
        status=status,
        error=attempt.error,
        started_at=attempt.started_at,
        pool_wait=attempt.pool_wait,
        ended_at=perf_counter() if attempt.ended_at is None else attempt.ended_at,
        token_times=TokenTimes(),
        fault=error_type,
    )


def retried_by(requests: Sequence[HTTPAttempt], later: HTTPAttempt) -> list[HTTPAttempt]:
    """Return the attempts that failed, were not emitted, and that a later request sends again."""
    return [each for each in attempts_at_answer(requests) if not each.is_emitted and is_retried_by(each, later)]


def retried_outcome(requests: Sequence[HTTPAttempt], attempt: HTTPAttempt, request_began: float) -> RequestOutcome:
    """Return how an attempt ended that was sent again; it counts as emitted from here on."""
    if not any(each.is_emitted for each in requests):
        attempt.started_at = start_of_first(requests, attempt, request_began)
    attempt.is_emitted = True
    return outcome_of(attempt)


def last_outcome(requests: Sequence[HTTPAttempt], outcome: RequestOutcome) -> RequestOutcome:
    """Return how the last attempt ended of a request to one model that ended by ``outcome``."""
    if len(requests) == 1 and outcome.status == "success" and not requests[0].pool_wait:
        return outcome  # of most calls
    attempts = attempts_at_answer(requests)
    if not attempts:
        return outcome
    last = attempts[-1]
    if len(attempts) == 1:
        last.started_at = start_of_first(requests, last, outcome.started_at)
    if last.has_failed and isinstance(outcome.error, asyncio.CancelledError):  # while the SDK waited to retry
        return replace(outcome_of(last), asked_at=outcome.asked_at)
    if (last.started_at, last.pool_wait) == (outcome.started_at, outcome.pool_wait):
        return outcome
    return replace(outcome, started_at=last.started_at, pool_wait=last.pool_wait)


def start_of_first(requests: Sequence[HTTPAttempt], attempt: HTTPAttempt, request_began: float) -> float:
    """Return the start of the first attempt: it has what the SDK did before it, unless that was to wait in vain."""
    if any(each.was_given_up_in_queue for each in requests):
        return attempt.started_at
    return request_began + attempt.pool_wait
