"""Why a request to a model failed, as one of the twelve words of `events.bus.fields.ErrorType`.

Classes of errors are matched by name: pydantic-ai has more of them with each version, and the SDKs have their own.

Sources of the codes in errors' bodies: https://platform.openai.com/docs/guides/error-codes,
https://platform.claude.com/docs/en/api/errors, https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping

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
    ("ContentPolicyViolationError",     "content_filtered"),
    ("ContentFilterFinishReasonError",  "content_filtered"),
    ("ContextWindowExceededError",      "context_length_exceeded"),
    ("ContextOverflowError",            "context_length_exceeded"),
    ("ModelPermissionDeniedError",      "auth"),
    ("ModelNotFoundError",              "invalid_request"),
    ("ModelRefusalError",               "content_filtered"),
    ("APIResponseValidationError",      "invalid_response"),
    ("BudgetExceededError",             "quota_exceeded"),
    ("PaymentRequiredError",            "quota_exceeded"),
    ("RouterRateLimitError",            "rate_limited"),
    ("RouterRateLimitErrorBasic",       "rate_limited"),
    ("APIConnectionError",              "connection"),
)
TYPE_BY_STATUS_CODE: dict[int, ErrorType] = {
    401: "auth", 402: "quota_exceeded", 403: "auth", 408: "timeout", 413: "context_length_exceeded",
    429: "rate_limited",
}
# fmt: on
FALLBACK_TYPE_BY_CLASS: tuple[tuple[str, ErrorType], ...] = (
    ("UnexpectedModelBehavior", "invalid_response"),
    ("ModelBehaviorError", "invalid_response"),  # of the OpenAI Agents SDK
    ("ModelAPIError", "invalid_response"),  # a response arrived and could not be parsed
    ("ValidationError", "invalid_response"),  # the same: Google's SDK lets pydantic's own error out
    ("ConnectionError", "connection"),
    ("TransportError", "connection"),  # of httpx, which some SDKs let out of a stream
    ("CancelledError", "cancelled"),
    ("GeneratorExit", "cancelled"),
)
NARROWER_THAN_STATUS = frozenset({"context_length_exceeded", "quota_exceeded"})
"""What a body may say of a status that stands for several things, such as 429 and 400."""

CONTEXT_TOO_LONG = re.compile(r"context (length|size|window)|prompt is too long")
"""In the error messages of servers that have no code for a prompt that is too long, such as Ollama's."""

TYPE_BY_BODY_CODE: dict[str, ErrorType] = {
    "context_length_exceeded": "context_length_exceeded",
    "string_above_max_length": "context_length_exceeded",
    "request_too_large": "context_length_exceeded",
    "insufficient_quota": "quota_exceeded",
    "billing_hard_limit_reached": "quota_exceeded",
    "billing_error": "quota_exceeded",
    "rate_limit_exceeded": "rate_limited",
    "rate_limit_error": "rate_limited",
    "authentication_error": "auth",
    "permission_error": "auth",
    "invalid_api_key": "auth",
    "timeout_error": "timeout",
    "server_error": "provider_5xx",
    "api_error": "provider_5xx",
    "overloaded_error": "provider_5xx",
    "invalid_request_error": "invalid_request",
    "not_found_error": "invalid_request",
}
"""What a body says, where the HTTP status does not: of an error in a stream, or of one of several with a status."""

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
    codes = body_codes(error)
    if any(code.startswith(CONTENT_FILTER_CODES) for code in codes):
        return "content_filtered"
    names = {parent.__name__ for parent in type(error).__mro__}
    by_class = next((error_type for name, error_type in TYPE_BY_CLASS if name in names), None)
    by_status = error_type_of_status_code(getattr(error, "status_code", None))
    if "invalid_request" in (by_class, by_status) and CONTEXT_TOO_LONG.search(str(getattr(error, "body", ""))):
        return "context_length_exceeded"
    by_body = next((TYPE_BY_BODY_CODE[code] for code in codes if code in TYPE_BY_BODY_CODE), None)
    if by_body in NARROWER_THAN_STATUS:
        by_status = None
    fallback = next((error_type for name, error_type in FALLBACK_TYPE_BY_CLASS if name in names), None)
    return by_class or by_status or by_body or fallback or "other"


def error_type_of_code(code: object) -> ErrorType | None:
    """Return the type of error of a code in a body; None where that says nothing."""
    if not isinstance(code, str):
        return None
    return "content_filtered" if code.startswith(CONTENT_FILTER_CODES) else TYPE_BY_BODY_CODE.get(code)


def body_codes(error: BaseException) -> list[str]:
    """Return the codes that an error has by itself or in its body, the most particular first."""
    body = getattr(error, "body", None)
    inner = body.get("error") if isinstance(body, Mapping) else None
    found = [getattr(error, name, None) for name in ("provider_error_code", "code", "type")]
    for mapping in (inner, body):
        if isinstance(mapping, Mapping):
            found += [mapping.get("code"), mapping.get("type")]
    return [code for code in found if isinstance(code, str)]


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
