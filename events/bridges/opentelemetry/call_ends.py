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
    answer = with_inner(outermost, inner) if inner else outermost
    status, error_type, response_model = outcome.status, outcome.error_type, answer.response_model
    if status == "success":
        if is_streamed and answer.finish_reason == "unknown":
            says_how = outermost.library.startswith(SAYS_HOW_STREAMS_END)
            if not outcome.is_marked_ok if says_how else answer.usage is NO_USAGE:
                status, error_type = "cancelled", "cancelled"
        elif answer.finish_reason == "error":
            status, error_type = "error", "invalid_response"
    if status == "error" and answer.usage is NO_USAGE:
        response_model = ""  # some call the model that was asked for so
    # By position: by name each takes twice as long.
    return CallEnd(
        status,
        outcome.error,
        error_type,
        response_model or None,
        answer.usage,
        answer.cost,
        "price_table",
        answer.finish_reason if status == "success" else None,
        answer.time_to_first_token,
        ended_at,
    )


def with_inner(outermost: SpanUsage, inner: Sequence[SpanUsage]) -> SpanUsage:
    """Return what the outermost span says of the answer, with what those inside say better, or alone."""
    finish, first_token = outermost.finish_reason, outermost.time_to_first_token
    for each in reversed(inner):
        finish = each.finish_reason if finish == "unknown" else finish
        first_token = each.time_to_first_token if first_token is None else first_token
    model = next((each.response_model for each in reversed(inner) if each.response_model), outermost.response_model)
    usage, cost = sum_usage(outermost, inner)
    return outermost._replace(
        response_model=model, usage=usage, cost=cost, finish_reason=finish, time_to_first_token=first_token
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
