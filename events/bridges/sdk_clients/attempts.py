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
        error_type = error_type_of_end(status, error)
        return Attempt(started_at=started_at, ended_at=ended_at, status=status, error_type=error_type)
    code = response.status_code
    by_code = error_type_of_status_code(code)
    return Attempt(
        started_at=started_at,
        ended_at=ended_at,
        status="success" if by_code is None else status_of_type(by_code),
        error_type=by_code,
        status_code=code,
        headers=read_headers(response.headers),
    )


def look_for_quota(attempt: Attempt, response: Any) -> None:
    """Have an attempt that was rate limited say that a quota is used up, if its response, read by now, says so."""
    if attempt.error_type == "rate_limited" and response is not None and exceeds_quota(body_of(response)):
        attempt.error_type = "quota_exceeded"


def exceeds_quota(body: Any) -> bool:
    """Return whether the body of a 429, which stands for several things, says that a quota is used up."""
    error = get(body, "error")
    return "quota_exceeded" in {error_type_of_code(get(error, name)) for name in ("code", "type")}


def end_attempt(attempt: Attempt, end: CallEnd) -> None:
    """Have the last attempt end as its call does, unless that is cancelled before a failed one is retried."""
    has_failed = attempt.status != "success"
    if has_failed and end.status == "cancelled":
        return
    attempt.status, attempt.error, attempt.error_type = end.status, end.error, end.error_type
    if not has_failed and end.ended_at is not None:
        attempt.ended_at = end.ended_at


def status_of_type(error_type: ErrorType | None) -> Status:
    """Return the status of what failed in a way, or did not."""
    if error_type is None:
        return "success"
    return error_type if error_type in ("timeout", "cancelled") else "error"


def error_type_of_end(status: Status, error: BaseException) -> ErrorType:
    """Return why a request with this status failed, by the error that it raised."""
    return status if status in ("timeout", "cancelled") else error_type_of(error)
