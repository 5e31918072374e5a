"""The requests and websockets that this process serves at the moment, over all middlewares."""

from __future__ import annotations

from ...http import http_activity_read

# Sets of the open ones, not counters: an end that is missed or seen twice can't make their sizes drift.
requests: set[object] = set()
websockets: set[object] = set()


def read_in_flight() -> None:
    """Emit `http_activity_read` with the numbers of open requests and websockets.

    It is a poller, which `HTTPEventsMiddleware` adds: it is called before each render of metrics.
    """
    http_activity_read.emit(requests=len(requests), websockets=len(websockets))
