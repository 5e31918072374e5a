"""The requests and websockets that this process serves at the moment, over all middlewares."""

from __future__ import annotations

from collections import Counter
from typing import Protocol
from weakref import ref

from ...bus.after_fork import call_after_fork
from ...http import http_activity_read


class OpenRequest(Protocol):
    """A tracker, which knows the applications that its request or websocket is in."""

    applications: list[str]


# Sets of the open ones, not counters: an end that is missed or seen twice can't make their sizes drift.
requests: set[OpenRequest] = set()
websockets: set[OpenRequest] = set()
add_request, discard_request = requests.add, requests.discard  # bound once: each request calls both
_middlewares: dict[ref[object], str] = {}
"""The names of the applications that are instrumented, by the middlewares that have them, while those are there."""
_shown: set[str] = set()
"""The names that were emitted at the last scrape."""


def add_application(middleware: object, name: str) -> None:
    """Emit the numbers of an application from now on, until the last middleware that has its name is gone."""
    _middlewares[ref(middleware, lambda gone: _middlewares.pop(gone, None))] = name


def remove_application(middleware: object) -> None:
    """Emit the numbers of a middleware's application no more, unless another one has the name too."""
    _middlewares.pop(ref(middleware), None)


def read_in_flight() -> None:
    """Emit `http_activity_read` with the numbers of open requests and websockets, of all and of each application.

    It is a poller, which `HTTPEventsMiddleware` adds: it is called before each render of metrics. Of an application
    that is gone, 0 is emitted once more.
    """
    global _shown  # replaced as a whole, so that a thread that reads sees one state
    http_activity_read.emit(requests=len(requests), websockets=len(websockets))
    names = {*_middlewares.copy().values()}
    shown, _shown = _shown, names
    if names or shown:
        of_requests, of_websockets = by_application(requests), by_application(websockets)
        for name in sorted(names | shown):
            http_activity_read.emit(requests=of_requests[name], websockets=of_websockets[name], application=name)


def by_application(trackers: set[OpenRequest]) -> Counter[str]:
    """Return how many of them are in each application that has a name."""
    return Counter(name for tracker in tuple(trackers) for name in tracker.applications)


@call_after_fork
def _clear() -> None:
    """Forget, in a forked process, what the process before it serves."""
    for each in (requests, websockets, _shown):
        each.clear()
