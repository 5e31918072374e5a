"""Why a request to a model failed, as one of the twelve words of `events.bus.fields.ErrorType`.

Classes of errors are matched by name: pydantic-ai has more of them with each version, and the SDKs have their own.
"""

from __future__ import annotations

import asyncio
import re

from ...bus.fields import ErrorType, Status
from ...bus.timeout_errors import is_timeout

# From the particular to the general: the first name that is in an error's class hierarchy applies.
# fmt: off
TYPE_BY_CLASS: tuple[tuple[str, ErrorType], ...] = (
    ("ContentFilterError",              "content_filtered"),
    ("ModelQuotaExceededError",         "quota_exceeded"),
    ("ModelRateLimitError",             "rate_limited"),
    ("ModelAuthenticationError",        "auth"),
    ("ModelContextWindowExceededError", "context_length_exceeded"),
    ("ModelServerError",                "provider_5xx"),
    ("ModelUnavailableError",           "provider_5xx"),
    ("ModelRequestRejectedError",       "invalid_request"),
    ("ModelConnectionError",            "connection"),
)
TYPE_BY_STATUS_CODE: dict[int, ErrorType] = {
    401: "auth", 402: "quota_exceeded", 403: "auth", 408: "timeout", 413: "context_length_exceeded",
    429: "rate_limited",
}
# fmt: on
FALLBACK_TYPE_BY_CLASS: tuple[tuple[str, ErrorType], ...] = (
    ("UnexpectedModelBehavior", "invalid_response"),
    ("ModelAPIError", "invalid_response"),  # a response arrived and could not be parsed
    ("ValidationError", "invalid_response"),  # the same: Google's SDK lets pydantic's own error out
    ("ConnectionError", "connection"),
    ("CancelledError", "cancelled"),
    ("GeneratorExit", "cancelled"),
)
CONTEXT_TOO_LONG = re.compile(r"context (length|size|window)")
"""In the error messages of servers that have no code for a prompt that is too long, such as Ollama's."""

CONTENT_FILTER_CODES = ("content_filter", "content_policy")
"""How the error codes of OpenAI and Azure begin for a prompt that their content filter rejected."""


def error_type_of(error: BaseException | None) -> ErrorType:
    """Return the type of an error; of a group, that of the last error in it."""
    while isinstance(error, BaseExceptionGroup):
        if is_timeout(error):
            return "timeout"
        error = error.exceptions[-1]
    if error is None or isinstance(error, asyncio.CancelledError):
        return "cancelled"
    if is_timeout(error):
        return "timeout"
    if str(getattr(error, "provider_error_code", None) or "").startswith(CONTENT_FILTER_CODES):
        return "content_filtered"
    names = {parent.__name__ for parent in type(error).__mro__}
    by_class = next((error_type for name, error_type in TYPE_BY_CLASS if name in names), None)
    if by_class == "invalid_request" and CONTEXT_TOO_LONG.search(str(getattr(error, "body", ""))):
        return "context_length_exceeded"
    by_code = error_type_of_status_code(getattr(error, "status_code", None))
    fallback = next((error_type for name, error_type in FALLBACK_TYPE_BY_CLASS if name in names), None)
    return by_class or by_code or fallback or "other"


def status_of_error(error: BaseException) -> Status:
    """Return the status of a request that raised an error by itself."""
    if is_timeout(error):
        return "timeout"
    return "error" if isinstance(error, Exception) else "cancelled"


def error_type_of_status(status: Status, error: BaseException | None) -> ErrorType | None:
    """Return why a request with this status failed, None where it succeeded; ``error`` is what it raised."""
    if status in ("timeout", "cancelled"):
        return status
    return error_type_of(error) if status == "error" else None


def error_type_of_status_code(code: object) -> ErrorType | None:
    """Return the type of error of an HTTP status code; None for one below 400 and for anything that is no code."""
    if not isinstance(code, int) or code < 400:
        return None
    return TYPE_BY_STATUS_CODE.get(code) or ("provider_5xx" if code >= 500 else "invalid_request")
