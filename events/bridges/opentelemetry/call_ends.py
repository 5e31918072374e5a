"""The end of a call, put together of its spans: the outermost says how it ended, the innermost what was used."""

from __future__ import annotations

from collections.abc import Sequence

from ..model_calls.model_call import CallEnd
from ..model_calls.token_usage import NO_USAGE, TokenUsage
from .span_outcomes import SpanOutcome
from .span_reading import SpanUsage

SAYS_HOW_STREAMS_END = ("openinference.", "com.anthropic.")
"""Libraries that mark a stream as OK where it was read to its end, and only there."""


def call_end(
    outcome: SpanOutcome, outermost: SpanUsage, inner: Sequence[SpanUsage], *, is_streamed: bool, ended_at: float
) -> CallEnd:
    """Return how a call ended.

    A stream of which no span has the end was left by its reader: libraries have no word for that.

    Args:
        outcome: How its outermost span ended.
        outermost: What that span says of the answer.
        inner: What the spans inside say: nearer to the wire, so that their counts are the better ones.
        is_streamed: Whether the answer was a stream.
        ended_at: The time of `time.perf_counter`.
    """
    finish, first_token, response_model = (
        outermost.finish_reason,
        outermost.time_to_first_token,
        outermost.response_model,
    )
    usage, cost = (outermost.usage, outermost.cost) if not inner else sum_usage(outermost, inner)
    for each in reversed(inner):
        finish = each.finish_reason if finish == "unknown" else finish
        first_token = each.time_to_first_token if first_token is None else first_token
    if inner:
        response_model = next((each.response_model for each in reversed(inner) if each.response_model), response_model)
    status, error_type = outcome.status, outcome.error_type
    if status == "success" and is_streamed and finish == "unknown":
        says_how = outermost.library.startswith(SAYS_HOW_STREAMS_END)
        if not outcome.is_marked_ok if says_how else usage is NO_USAGE:
            status, error_type = "cancelled", "cancelled"
    elif status == "success" and finish == "error":
        status, error_type = "error", "invalid_response"
    if status == "error" and usage is NO_USAGE:
        response_model = ""  # some call the model that was asked for so
    # By position: by name each takes twice as long.
    return CallEnd(
        status,
        outcome.error,
        error_type,
        response_model or None,
        usage,
        cost,
        "price_table",
        finish if status == "success" else None,
        first_token,
        ended_at,
    )


def sum_usage(outermost: SpanUsage, inner: Sequence[SpanUsage]) -> tuple[TokenUsage, float | None]:
    """Return the tokens and the cost of a call, by the spans of one library: the innermost that counts tokens.

    Several spans of that library inside the outermost are attempts, unless they have one answer. A cost of a framework
    is that of all of them.
    """
    cost = outermost.cost
    counting = [each for each in inner if each.usage is not NO_USAGE]
    if not counting:
        return outermost.usage, cost
    library = max(counting, key=lambda each: each.started_ns).library
    usage, seen, costs = NO_USAGE, set[str](), list[float]()
    for each in counting:
        if each.library != library or each.response_id in seen:
            continue
        if each.response_id is not None:
            seen.add(each.response_id)
        usage = each.usage if usage is NO_USAGE else usage + each.usage
        if each.cost is not None:
            costs.append(each.cost)
    return usage, sum(costs) if cost is None and costs else cost
