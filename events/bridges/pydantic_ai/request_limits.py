"""The limits of pydantic-ai's own, `request_timeout` and `first_event_timeout`, which cancel a request from outside."""

from __future__ import annotations

import anyio
from pydantic_ai.settings import ModelSettings

_LEEWAY = 0.02
"""Seconds between the start of a limit and that of its request, where the limit itself is not seen."""
_MOST_LATE = 1.0
"""Seconds in which a busy event loop comes from the start of a limit to that of its request, at most.

A deadline that is earlier than that is another's, as of a block of anyio that the caller has set.
"""


def shortest_limit(settings: ModelSettings | None, *, awaits_first_event: bool) -> float | None:
    """Return the limit of a request that runs out first, in seconds; None where there is none.

    Args:
        settings: The settings of the request.
        awaits_first_event: Whether it is a stream of which nothing has come yet.
    """
    if not settings:
        return None
    limits = [settings.get("request_timeout"), settings.get("first_event_timeout") if awaits_first_event else None]
    return min((limit for limit in limits if limit is not None), default=None)


def limits_began(limit: float | None, started_at: float) -> float:
    """Return when the limits of a request began, by ``perf_counter``, which is before the request did.

    The deadline that is in effect says it to whoever is inside, however long the event loop was busy in between.

    Args:
        limit: The one that runs out first.
        started_at: When the request started, just now.
    """
    if limit is None:
        return started_at
    try:
        left = anyio.current_effective_deadline() - anyio.current_time()
    except RuntimeError:  # no event loop runs
        return started_at - _LEEWAY
    late = limit - left
    return started_at - (late if -_LEEWAY < late < _MOST_LATE else _LEEWAY)
