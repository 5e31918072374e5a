"""Whether a call and a span may be of one: by their times, and by their places in traces."""

from __future__ import annotations

from .conventions import is_called_back
from .observed_call import ObservedCall
from .open_spans import OpenSpan

CLOCK_SLACK_NS = 10_000
"""How much earlier than its library's span a call may seem to begin: some libraries' times are of microseconds."""

END_SLACK_NS = 2_000_000
"""How much later than its library's span a call may end, whose last chunk is read by then."""


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


def earlier_one(call: ObservedCall, other: ObservedCall | None) -> ObservedCall:
    """Return the one of two calls that began first."""
    return call if other is None or call.started_ns < other.started_ns else other


def is_span_within(span: OpenSpan, call: ObservedCall, ended_ns: int) -> bool:
    """Return whether a span lies within a call of another bridge that began before it."""
    last_ns = call.last_ns
    is_in_place = call.place is None or span.parent is None or span.is_inside(call.place)
    return is_in_place and (last_ns is None or last_ns >= ended_ns - END_SLACK_NS)


def is_place_within(place: OpenSpan | None, around: OpenSpan | None) -> bool:
    """Return whether a place in a trace may be inside a span that was not made the current one.

    That is a span around that one, or none: of a trace of its own. A library may begin a trace of its own as well.
    """
    if place is None or around is None or around.is_inside(place) or place.is_inside(around):
        return True
    return place.trace_id != around.trace_id and around.top_of_library().parent is None
