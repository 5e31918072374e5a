"""The name of the tracer of every span, and how a span says that its work ended."""

from __future__ import annotations

from opentelemetry.trace import Span, Status, StatusCode

from events.bus.amount_limits import drop_reason
from events.bus.records import class_name_in

from .attributes import Attributes

INSTRUMENTATION_SCOPE = "sparklio.traces"
"""The name of the tracer. Whoever makes events of spans leaves its spans out: they were made of events."""

FAILED = frozenset({"error", "failed", "timeout", "abandoned", "rate_limited", "server_error", "stream_aborted"})
"""How work ends that is an error. What was cancelled is none, nor what a client got wrong or did not wait for."""

LEFT = frozenset({"cancelled", "client_disconnect"})
"""How work ends that somebody gave up: it has an ``error.type``, and no error status."""


def describe(
    span: Span, status: str, error: str = "", error_type: str | None = None, attributes: Attributes | None = None
) -> None:
    """Set the attributes of a span that ends, and how its work ended: by the class of an error, never by its message.

    Args:
        span: The span.
        status: How it ended, in the words of its event.
        error: The class of what was raised, if anything was; another text is left out, as it may have anything in it.
        error_type: Why it failed, if the event says.
        attributes: What is known by now.
    """
    if not span.is_recording():
        return
    error = class_name_in(error)
    if attributes:
        span.set_attributes(attributes)
    if status in FAILED:
        span.set_status(Status(StatusCode.ERROR, error or None))
    if status in FAILED or status in LEFT:
        span.set_attribute("error.type", error_type_of(status, error, error_type))


def error_type_of(status: str, error: str, error_type: str | None) -> str:
    """Return why work failed, as ``error.type`` has it: the event's word, else the class of what was raised."""
    if error_type is None:
        return error or status
    return (error or "_OTHER") if error_type == "other" else error_type


def nanoseconds_of(seconds: float | None) -> int | None:
    """Return a duration in nanoseconds; None if it is unknown or cannot be right."""
    if seconds is None or drop_reason(seconds, limit=1e9) is not None:
        return None
    return int(float(seconds) * 1e9)
