"""Why an agent failed, as one of a few words: what its errors are counted by."""

from __future__ import annotations

from pydantic_ai import exceptions as ai

from app.llm.unavailable import ModelUnavailable
from events.fields import ErrorType

from .failures import timed_out

# From the particular to the general: the first that fits is counted.
# fmt: off
CAUSES: tuple[tuple[type[Exception], ErrorType], ...] = (
    (ai.ModelContextWindowExceededError, "context_length_exceeded"),
    (ai.ModelAuthenticationError,        "auth"),
    (ai.ModelQuotaExceededError,         "quota_exceeded"),
    (ai.ModelRateLimitError,             "rate_limited"),
    (ai.ModelRequestRejectedError,       "invalid_request"),
    (ai.ModelConnectionError,            "connection"),
    (ai.ModelServerError,                "provider_5xx"),
    (ai.ModelUnavailableError,           "provider_5xx"),
    (ai.ContentFilterError,              "content_filtered"),
    (ai.UnexpectedModelBehavior,         "invalid_response"),
    (ModelUnavailable,                   "connection"),
)
# fmt: on


def cause(error: Exception) -> ErrorType:
    """Name the cause of an agent's failure; of several models tried in turn, the last one's."""
    if isinstance(error, ExceptionGroup):
        return cause(error.exceptions[-1])
    if timed_out(error):
        return "timeout"
    if isinstance(error, ai.ModelHTTPError) and error.status_code >= 500:
        return "provider_5xx"
    for kind, word in CAUSES:
        if isinstance(error, kind):
            return word
    if isinstance(error, ai.ModelHTTPError):
        return "invalid_request"
    return "invalid_response" if isinstance(error, ai.ModelAPIError) else "other"
