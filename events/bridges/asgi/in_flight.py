"""Which requests and websockets this process serves now, over all its bridges."""

from __future__ import annotations

from ...http import http_activity_read

# Sets of the open ones, not sums of steps: an end that is lost or doubled can't make their sizes drift.
requests: set[object] = set()
websockets: set[object] = set()


def read_in_flight() -> None:
    """Tell how many there are: for a poller that runs before each render, as `metrics.Subscription.poll` takes it."""
    http_activity_read.emit(requests=len(requests), websockets=len(websockets))
