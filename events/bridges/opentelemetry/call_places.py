"""Whether a call and a span may be of one: by their times, and by their places in traces."""

from __future__ import annotations

from typing import Literal, get_args

from .conventions import is_called_back
from .observed_call import ObservedCall
from .open_spans import OpenSpan

CLOCK_SLACK_NS = 10_000
"""How much earlier than its library's span a call may seem to begin: some libraries' times are of microseconds."""

END_SLACK_NS = 2_000_000
"""How much later than its library's span a call may end, whose last chunk is read by then."""

Fit = Literal["within", "around", "nearly within", "nearly around", "under way"]
"""How the time of a call may fit that of a span which is of it, the best first; *nearly* is by `END_SLACK_NS` alone."""

FITS: tuple[Fit, ...] = get_args(Fit)
AROUND: tuple[Fit, ...] = ("around", "nearly around")


def is_claimable(call: ObservedCall, place: OpenSpan | None, model: str) -> bool:
    """Return whether a call under way is one that another bridge begins to tell at a place."""
    outermost, claim = call.outermost, call.claim
    return (
        outermost is not None
        and claim is not None
        and not claim.is_taken
        and call.is_under_way
        and call.is_of(model)
        and is_called_back(outermost.library)
        and is_place_within(place, outermost)
    )


def is_earlier(call: ObservedCall, other: ObservedCall) -> bool:
    """Return whether a call began before another one."""
    return call.started_ns < other.started_ns


def fit_of(call: ObservedCall, span: OpenSpan, ended_ns: int) -> Fit | None:
    """Return how a call may be the one that a span is of which just ended; None where it is another.

    Args:
        call: A call that began before the span ended, and that no span of the library is of.
        span: The span.
        ended_ns: When it ended.
    """
    call_ended_ns, is_around = call.last_ns, call.started_ns < span.started_ns - CLOCK_SLACK_NS
    if is_around:
        is_in_place = call.outermost is None and is_span_placed_in(span, call)
    else:
        is_in_place = is_place_within(call.place, span)
    if not is_in_place:
        return None
    if is_around:
        if call_ended_ns is None or call_ended_ns >= ended_ns:
            return "around"
        return "nearly around" if call_ended_ns >= ended_ns - END_SLACK_NS else None
    if call_ended_ns is None:  # it may have the last chunk of a stream to be read, or be any later one
        return "under way" if ended_ns <= span.made_ns else "within"  # a library writes it when all is over: others too
    if call_ended_ns > ended_ns + END_SLACK_NS:
        return None
    return "within" if call_ended_ns <= ended_ns else "nearly within"


def is_span_placed_in(span: OpenSpan, call: ObservedCall) -> bool:
    """Return whether the place of a span in a trace may be inside a call of another bridge."""
    return call.place is None or span.parent is None or span.is_inside(call.place)


def is_place_within(place: OpenSpan | None, around: OpenSpan | None) -> bool:
    """Return whether a place in a trace may be inside a span that was not made the current one.

    That is a span around that one, or none: of a trace of its own. A library may begin a trace of its own as well.
    """
    if place is None or around is None or around.is_inside(place) or place.is_inside(around):
        return True
    return place.trace_id != around.trace_id and around.top_of_library().parent is None
