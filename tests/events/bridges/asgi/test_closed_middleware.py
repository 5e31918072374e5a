"""A middleware that is closed passes everything through, and emits nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from events import http_activity_read, http_request_finished
from events.bridges.asgi import HTTPEventsMiddleware, open_requests
from events.bridges.asgi_types import Receive, Scope, Send
from events.bus.announcements import run_announcers


class Application:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def receive() -> Any:
    return await asyncio.Event().wait()


def request() -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/", "headers": [], "asgi": {"version": "3.0"}}


async def test_what_is_open_ends_and_nothing_more_is_emitted() -> None:
    app = Application()
    middleware = HTTPEventsMiddleware(app)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    with http_request_finished.captured() as finished:
        first = asyncio.create_task(middleware(request(), receive, send))
        await asyncio.sleep(0)
        assert len(open_requests.requests) == 1
        middleware.close()
        middleware.close()
        app.may_answer.set()
        await first
        await middleware(request(), receive, send)
    assert [event.status_code for event in finished] == [200]
    assert len(sent) == 4
    assert not open_requests.requests


async def test_its_routes_and_its_name_are_announced_no_more() -> None:
    class Routed(Application):
        routes = ()

    middleware = HTTPEventsMiddleware(Routed(), application="shop")
    with http_activity_read.captured() as read:
        open_requests.read_in_flight()
        middleware.close()
        open_requests.read_in_flight()
        open_requests.read_in_flight()
    run_announcers()
    assert [event.application for event in read] == ["", "shop", "", "shop", ""]  # once more, at 0
