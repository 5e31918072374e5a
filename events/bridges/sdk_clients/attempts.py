"""A request that the HTTP client of an SDK sent, as an attempt at its call."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from ...bus.fields import ErrorType, Status
from ..model_calls.error_types import error_type_of, error_type_of_code, error_type_of_status_code, status_of_error
from ..model_calls.model_call import Attempt, CallEnd
from ..model_calls.response_headers import read_headers
from ..model_calls.token_usage import get
from .bodies import body_of


def attempt_of(started_at: float, response: Any, error: BaseException | None) -> Attempt:
    """Return a request that ended now as an attempt that failed by itself, or whose answer has not failed yet.

    Args:
        started_at: The time of `time.perf_counter`.
        response: The response of httpx or httpx2; None where there is none.
        error: What was raised; None where a response came.
    """
    ended_at = perf_counter()
    if error is not None:
        status = status_of_error(error)
        return Attempt(started_at, ended_at, status, "", error_type_of_end(status, error))
    code, headers = response.status_code, read_headers(response.headers)
    if code < 400:
        return Attempt(started_at, ended_at, "success", "", None, code, headers)
    error_type = error_type_of_status_code(code)
    return Attempt(started_at, ended_at, status_of_type(error_type), "", error_type, code, headers)


def with_quota(attempt: Attempt, response: Any) -> Attempt:
    """Return an attempt that ended by itself: of one that was rate limited its response, read by now, may say more."""
    if attempt.error_type == "rate_limited" and response is not None and exceeds_quota(body_of(response)):
        return attempt._replace(error_type="quota_exceeded")
    return attempt


def exceeds_quota(body: Any) -> bool:
    """Return whether the body of a 429, which stands for several things, says that a quota is used up."""
    error = get(body, "error")
    return "quota_exceeded" in {error_type_of_code(get(error, name)) for name in ("code", "type")}


def last_attempt(attempt: Attempt, end: CallEnd, response: Any) -> Attempt:
    """Return the last attempt, which ends as its call does, unless that is cancelled before a failed one is retried."""
    has_failed = attempt.status != "success"
    if has_failed and end.status == "cancelled":
        return with_quota(attempt, response)
    ended_at = attempt.ended_at if has_failed or end.ended_at is None else end.ended_at
    return Attempt(
        attempt.started_at, ended_at, end.status, end.error, end.error_type, attempt.status_code, attempt.headers
    )


def status_of_type(error_type: ErrorType | None) -> Status:
    """Return the status of what failed in a way, or did not."""
    if error_type is None:
        return "success"
    return error_type if error_type in ("timeout", "cancelled") else "error"


def error_type_of_end(status: Status, error: BaseException) -> ErrorType:
    """Return why a request with this status failed, by the error that it raised."""
    return status if status in ("timeout", "cancelled") else error_type_of(error)
