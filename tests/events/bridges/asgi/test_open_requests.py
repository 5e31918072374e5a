"""What is open is this process's."""

from __future__ import annotations

from events import http_activity_read
from events.bridges.asgi import open_requests
from tests.support.forks import in_child


class Tracker:
    """A request that is in no application with a name."""

    def __init__(self) -> None:
        self.applications: list[str] = []


def test_a_process_that_is_forked_inside_a_request_serves_none() -> None:
    request = Tracker()
    open_requests.requests.add(request)
    open_requests.websockets.add(request)

    def read() -> object:
        with http_activity_read.captured() as events:
            open_requests.read_in_flight()
        return [(event.requests, event.websockets) for event in events if not event.application]

    try:
        assert in_child(read) == "[(0, 0)]"
        assert str(read()) == "[(1, 1)]"
    finally:
        open_requests.requests.discard(request)
        open_requests.websockets.discard(request)
