"""The outcome of a request: from its status code where the response is complete, else from what ended it."""

from __future__ import annotations

from typing import NamedTuple

from ...http import Outcome

CLIENT_CLOSED_REQUEST = 499  # nginx's code for a client that closed the connection; no standard has one


class Failure(NamedTuple):
    """How a request ended whose response was not sent completely."""

    status_code: int
    outcome: Outcome
    error: str


def failure_of(error: BaseException | None, status: int, *, disconnected: bool) -> Failure:
    """Return how a request failed; ``status`` is the one that was sent, 0 where the response was not started."""
    if error is not None:
        error = unwrap_group(error)
    if disconnected:
        return Failure(CLIENT_CLOSED_REQUEST, "client_disconnect", error_name(error))
    return Failure(status or 500, outcome_of_failure(error, status), error_name(error) or "IncompleteResponse")


def outcome_of_status(status: int) -> Outcome:
    """Return the outcome of a request whose response was sent completely, with this status code."""
    return "ok" if status < 400 else "client_error" if status < 500 else "server_error"


def outcome_of_failure(error: BaseException | None, status: int) -> Outcome:
    """Return the outcome of a request whose response was not completed; ``status`` is 0 where it was not started."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if error is not None and not isinstance(error, Exception):
        return "cancelled"  # CancelledError, trio's Cancelled, GeneratorExit, KeyboardInterrupt
    return "stream_aborted" if status else "server_error"


def unwrap_group(error: BaseException) -> BaseException:
    """Return the only exception in a group, however deeply nested: task groups raise even a single one in a group."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def error_name(error: BaseException | None) -> str:
    """Return the class of an exception, "" for None; of a group with a single member, that member's."""
    return "" if error is None else type(unwrap_group(error)).__name__
