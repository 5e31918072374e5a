"""The exemplar of what the running code does: the trace and the span that it is in."""

from __future__ import annotations

from opentelemetry.trace import format_span_id, format_trace_id, get_current_span


def current_exemplar() -> dict[str, str] | None:
    """Return the ids of the current span, for `metrics.Subscription.add_exemplars`; None unless it is sampled.

    >>> current_exemplar()
    """
    context = get_current_span().get_span_context()
    if not context.trace_flags.sampled or not context.is_valid:
        return None
    return {"trace_id": format_trace_id(context.trace_id), "span_id": format_span_id(context.span_id)}
