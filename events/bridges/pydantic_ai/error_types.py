"""Why a model gave no answer, in the twelve words of `events.fields.ErrorType`.

Classes are known by name: pydantic-ai has told errors apart in more and more of them, and the SDKs have their own.
"""

from __future__ import annotations

import asyncio
import re

from ...bus.fields import ErrorType, Status

# From the particular to the general: the first name among an error's classes that fits.
# fmt: off
BY_CLASS: tuple[tuple[str, ErrorType], ...] = (
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
BY_STATUS: dict[int, ErrorType] = {
    401: "auth", 402: "quota_exceeded", 403: "auth", 408: "timeout", 413: "context_length_exceeded",
    429: "rate_limited",
}
# fmt: on
LAST_RESORT: tuple[tuple[str, ErrorType], ...] = (
    ("UnexpectedModelBehavior", "invalid_response"),
    ("ModelAPIError", "invalid_response"),  # an answer came and could not be read
    ("ValidationError", "invalid_response"),  # the same: Google's SDK lets pydantic's own error out
    ("ConnectionError", "connection"),
    ("CancelledError", "cancelled"),
    ("GeneratorExit", "cancelled"),
)
TOO_LONG = re.compile(r"context (length|size|window)")
"""In the refusals of servers that give no code for a prompt that is too long: Ollama's, among others."""

FILTERS = ("content_filter", "content_policy")
"""How the codes of providers begin that refuse a prompt by what it says: OpenAI's, and Azure's."""


def error_type_of(error: BaseException | None) -> ErrorType:
    """Name the kind of an error; of a group, of the one that was raised last."""
    while isinstance(error, BaseExceptionGroup):
        if timed_out(error):
            return "timeout"
        error = error.exceptions[-1]
    if error is None or isinstance(error, asyncio.CancelledError):
        return "cancelled"
    if timed_out(error):
        return "timeout"
    if str(getattr(error, "provider_error_code", None) or "").startswith(FILTERS):
        return "content_filtered"
    names = {parent.__name__ for parent in type(error).__mro__}
    by_class, last_resort = ([kind for name, kind in table if name in names] for table in (BY_CLASS, LAST_RESORT))
    if by_class:
        too_long = by_class[0] == "invalid_request" and TOO_LONG.search(str(getattr(error, "body", "")))
        return "context_length_exceeded" if too_long else by_class[0]
    return by_status(getattr(error, "status_code", None)) or (last_resort[0] if last_resort else "other")


def failure_type(status: Status, error: BaseException | None) -> ErrorType | None:
    """Name why a request that ended so gave no answer; None for one that did."""
    if status in ("timeout", "cancelled"):
        return status
    return error_type_of(error) if status == "error" else None


def by_status(status: object) -> ErrorType | None:
    """Name the kind of an HTTP answer; None for a good one and for none."""
    if not isinstance(status, int) or status < 400:
        return None
    return BY_STATUS.get(status) or ("provider_5xx" if status >= 500 else "invalid_request")


def timed_out(error: BaseException | None) -> bool:
    """Tell whether a timeout is behind an error: itself, what caused it, or everything in a group.

    The SDKs have classes of their own (httpx's ``ReadTimeout``, OpenAI's ``APITimeoutError``); only the name is asked.
    """
    while error is not None:
        if isinstance(error, TimeoutError) or any("Timeout" in kind.__name__ for kind in type(error).__mro__):
            return True
        if isinstance(error, BaseExceptionGroup):
            return all(timed_out(member) for member in error.exceptions)
        error = error.__cause__
    return False
