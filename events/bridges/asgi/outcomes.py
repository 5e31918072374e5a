"""The outcome of a request: from its status code where the response is complete, else from what ended it."""

from __future__ import annotations

from ...http import Outcome

CLIENT_CLOSED_REQUEST = 499  # nginx's code for a client that closed the connection; no standard has one


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
