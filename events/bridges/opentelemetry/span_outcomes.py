"""How a span ended: its status, and why it failed, in the words of `events.LLMCalled`.

Libraries say it in an attribute, as a class, a code of a provider or an HTTP status; in the event of an exception; or
in a text alone. Such a text is searched for codes, and never passed on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ...bus.fields import ErrorType, Status
from ..model_calls.error_types import (
    CONTENT_FILTER_CODES,
    CONTEXT_TOO_LONG,
    FALLBACK_TYPE_BY_CLASS,
    NARROWER_THAN_STATUS,
    TYPE_BY_BODY_CODE,
    TYPE_BY_CLASS,
    error_type_of_status_code,
)
from ..model_calls.names import truncate_name

NO_CLASS = frozenset({"", "_OTHER", "other"})
STATUS_CODE_IN_TEXT = re.compile(r"(?:Error code|status_code|HTTP|status)[:= ]{1,2}(\d{3})\b")
CANCELLED = frozenset(
    {"CancelledError", "GeneratorExit", "AbandonedStreamError", "KeyboardInterrupt", "SystemExit", "cancelled"}
)
ABANDONED = "abandoned stream"
"""The description of a span of the official libraries whose stream was dropped; its ``error.type`` is ``_OTHER``."""

# fmt: off
STATUS_BY_CLASS: Mapping[str, int] = {
    "BadRequestError": 400, "AuthenticationError": 401, "PermissionDeniedError": 403, "NotFoundError": 404,
    "ConflictError": 409, "UnprocessableEntityError": 422, "RateLimitError": 429, "InternalServerError": 500,
    "ServiceUnavailableError": 503, "OverloadedError": 529, "ThrottlingException": 429, "ResourceExhausted": 429,
}
# fmt: on
TYPE_OF_CODE: Mapping[str, ErrorType] = {
    "connection_error": "connection",
    "content_filter": "content_filtered",
    "timeout": "timeout",
    "client_timeout_error": "timeout",
}
CONNECTION = re.compile(r"Connect|Protocol|Network|Disconnected|ReadError|WriteError|IncompleteRead|ChunkedEncoding")
TYPE_BY_NAME: Mapping[str, ErrorType] = dict([*FALLBACK_TYPE_BY_CLASS, *TYPE_BY_CLASS])

MAX_TEXT = 4096  # characters of an error's text that are searched


class SpanOutcome(NamedTuple):  # a frozen dataclass takes four times as long to make
    """How a span ended.

    Attributes:
        error: The class of what was raised, or the code that stands for it; "" where neither is known.
        is_marked_ok: Whether the library says expressly that it ended well.
    """

    status: Status
    error: str = ""
    error_type: ErrorType | None = None
    is_marked_ok: bool = False


ENDED, ENDED_WELL = SpanOutcome(status="success"), SpanOutcome(status="success", is_marked_ok=True)


DROPPED = SpanOutcome(status="cancelled", error_type="cancelled")
"""How a span ended that nobody ended."""


def outcome_of(span: Any, attributes: Mapping[str, Any]) -> SpanOutcome:
    """Return how a span with these attributes ended; one without a status did well, as far as its library knows."""
    status = span.status
    code = status.status_code.name
    said = attributes.get("error.type")
    if code != "ERROR" and said is None:
        return ENDED_WELL if code == "OK" else ENDED
    raised, text = exception_of(span)
    description = status.description or ""
    texts = f"{text[:MAX_TEXT]} {description[:MAX_TEXT]}"
    name = "" if said in NO_CLASS else str(said or "")
    error = truncate_name(class_name(raised) or ("" if name.isdigit() else class_name(name)))
    names = {class_name(name), error, description.partition(":")[0].strip()}
    if names & CANCELLED or description == ABANDONED:
        return SpanOutcome(status="cancelled", error="" if "GeneratorExit" in names else error, error_type="cancelled")
    error_type = error_type_in(names, name, texts, attributes.get("http.response.status_code"))
    if error_type == "timeout":
        return SpanOutcome(status="timeout", error=error, error_type="timeout")
    return SpanOutcome(status="error", error=error, error_type=error_type)


def error_type_in(names: set[str], said: str, texts: str, status_code: Any) -> ErrorType:
    """Return why a span failed, by the names of classes, what its ``error.type`` says, texts and an HTTP status."""
    if any("Timeout" in each for each in names) or "DeadlineExceeded" in names:
        return "timeout"
    by_class = next((TYPE_BY_NAME[each] for each in names if each in TYPE_BY_NAME), None)
    by_status = error_type_of_status_code(status_in(said, texts, status_code))
    by_code = TYPE_OF_CODE.get(said) or TYPE_BY_BODY_CODE.get(said)
    of_class = next((STATUS_BY_CLASS[each] for each in names if each in STATUS_BY_CLASS), None)
    found = type_in_text(texts) or by_class or by_status or by_code or error_type_of_status_code(of_class)
    if found == "invalid_request" and CONTEXT_TOO_LONG.search(texts):
        return "context_length_exceeded"
    return found or ("connection" if any(CONNECTION.search(each) for each in names) else "other")


def type_in_text(texts: str) -> ErrorType | None:
    """Return the type of an error whose text has a code that says more than an HTTP status."""
    for code, error_type in TYPE_BY_BODY_CODE.items():
        if error_type in NARROWER_THAN_STATUS and code in texts:
            return error_type
    return "content_filtered" if any(code in texts for code in CONTENT_FILTER_CODES) else None


def status_in(said: str, texts: str, status_code: Any) -> Any:
    """Return the HTTP status of an error, as an attribute, as its type, or in a text; None where nothing has it."""
    if status_code is not None:
        return status_code
    if said.isdigit():
        return int(said)
    found = STATUS_CODE_IN_TEXT.search(texts)
    return None if found is None else int(found[1])


def class_name(path: str) -> str:
    """Return the last name of a dotted path, which is a class; of a text, "" since it is none."""
    name = path.rpartition(".")[2]
    return name if name.isidentifier() else ""


def exception_of(span: Any) -> tuple[str, str]:
    """Return the class and the text of the last exception that a span has as an event; empty where it has none."""
    for event in reversed(span.events):
        if event.name == "exception":
            recorded = event.attributes or {}
            return str(recorded.get("exception.type", "")), str(recorded.get("exception.message", ""))
    return "", ""
