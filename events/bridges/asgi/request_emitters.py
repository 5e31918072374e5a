"""The emitters of requests: bound once for each combination of what seldom changes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ...bus.emitters import EmitFn, EmitterCache
from ...database import database_used
from ...http import http_request_finished, http_request_waited
from .outcomes import outcome_of_status

METHOD_NOT_ALLOWED = 405


class RequestEmitters(EmitterCache):
    """Emitters of `http_request_finished`; what an endpoint may do to a database is announced with its first answer."""

    def fields_of(self, values: tuple[Any, ...]) -> dict[str, Any]:
        """Return the fields for a method, an endpoint, a status code, whether it was streamed, and a failure or None.

        A method that the route does not have is the client's choice: a scanner would fill the limit of series.
        """
        method, endpoint, status, streamed, failure = values
        code, outcome, error = failure or (status, outcome_of_status(status), "")
        return super().fields_of(
            ("other" if status == METHOD_NOT_ALLOWED else method, endpoint, int(code), outcome, streamed, error)
        )

    def __missing__(self, values: tuple[Any, ...]) -> EmitFn:
        """Bind, store and return the emitter for values that are looked up for the first time."""
        database_used.announce(scope="http", endpoint=values[1], **self._fixed)
        return super().__missing__(values)


@lru_cache(256)  # an application that is gone, such as a test's, is forgotten for the others
def emitters_of(applications: str) -> RequestEmitters:
    """Return the emitters of `http_request_finished` for requests that went through these applications."""
    return RequestEmitters(
        http_request_finished,
        ("method", "endpoint", "status_code", "outcome", "streamed", "error"),
        ("duration", "first_byte", "request_size", "response_size", "self_time"),
        {"applications": applications},
    )


FINISHED = emitters_of("")
WAITED = http_request_waited.bind_by(
    ("endpoint", "applications"), ("database_time", "llm_time", "tool_time", "backoff_time")
)
