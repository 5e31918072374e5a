"""A websocket between an application and a server that are both in the test: each message, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from events import HTTPRequestFinished, WebsocketFinished, receiver_failed
from events.bridges.asgi import HTTPEventsMiddleware, open_requests, websocket
from events.bridges.asgi.inbox import MAX_MESSAGES
from tests.support.asgi_apps import receive_nothing, send_nowhere

Requests = list[HTTPRequestFinished]
Sessions = list[WebsocketFinished]

ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close"}
TICK = {"type": "websocket.send", "text": "tick"}
WORD = {"type": "websocket.receive", "text": "word"}
GONE = {"type": "websocket.disconnect", "code": 1001}


class Server:
    """A server that has these messages for the application, then none; its client is gone where ``is_broken``."""

    def __init__(self, *incoming: Any, is_broken: bool = False) -> None:
        self.incoming = list(incoming)
        self.is_broken = is_broken
        self.receives = 0
        self.sent: list[Any] = []

    async def receive(self) -> Any:
        self.receives += 1
        return self.incoming.pop(0) if self.incoming else await receive_nothing()

    async def send(self, message: Any) -> None:
        if self.is_broken and message["type"] == "websocket.send":
            raise BrokenPipeError
        self.sent.append(message)


async def serve(app: Callable[[Any, Any], Awaitable[None]], server: Server) -> None:
    async def application(_scope: Any, receive: Any, send: Any) -> None:
        await app(receive, send)

    scope = {"type": "websocket", "path": "/", "headers": []}
    await HTTPEventsMiddleware(application)(scope, server.receive, server.send)


def sends(*messages: Any) -> Callable[[Any, Any], Awaitable[None]]:
    async def app(_receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    return app


async def fails_to_send(receive: Any, send: Any) -> None:
    await send(ACCEPT)
    with pytest.raises(BrokenPipeError):
        await send(TICK)


async def test_the_search_for_the_close_code_ends_at_the_disconnect(sessions: Sessions) -> None:
    server = Server(WORD, GONE, WORD, is_broken=True)
    await serve(fails_to_send, server)
    assert server.receives == 2
    assert [(each.close_code, each.received, each.sent) for each in sessions] == [("1001", 1, 1)]


async def test_the_search_for_the_close_code_reads_a_hundred_messages(sessions: Sessions) -> None:
    """Not more: the application, which has to receive them, may never do so."""
    server = Server(*[WORD] * 100, GONE, is_broken=True)
    await serve(fails_to_send, server)
    assert server.receives == MAX_MESSAGES == 100
    assert [(each.close_code, each.received) for each in sessions] == [("1006", 100)]


async def test_the_search_for_the_close_code_leaves_the_messages_to_an_application_that_receives(
    sessions: Sessions,
) -> None:
    """Of two that receive at once, the server would give the disconnect to one alone."""
    server = Server(is_broken=True)

    async def app(receive: Any, send: Any) -> None:
        await send(ACCEPT)
        receiving = asyncio.create_task(receive())
        await asyncio.sleep(0)
        with pytest.raises(BrokenPipeError):
            await send(TICK)
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        assert server.receives == 1
        server.incoming.append(GONE)
        with pytest.raises(BrokenPipeError):
            await send(TICK)  # nobody receives any more

    await serve(app, server)
    assert server.receives == 2
    assert [each.close_code for each in sessions] == ["1001"]


async def test_without_a_message_the_close_code_is_not_known(sessions: Sessions) -> None:
    server = Server(is_broken=True)
    await serve(fails_to_send, server)
    assert server.receives == 1
    assert [each.close_code for each in sessions] == ["1006"]


async def test_an_error_of_the_server_that_is_none_of_the_connection_starts_no_search(sessions: Sessions) -> None:
    class Refusing(Server):
        async def send(self, message: Any) -> None:
            if message is TICK:
                raise RuntimeError

    server = Refusing(GONE)

    async def app(_receive: Any, send: Any) -> None:
        await send(ACCEPT)
        with pytest.raises(RuntimeError):
            await send(TICK)

    await serve(app, server)
    assert server.receives == 0


@pytest.mark.lenient
async def test_a_search_that_fails_hides_no_error_from_the_application(sessions: Sessions) -> None:
    def breaks() -> Any:
        raise LookupError

    server = Server(is_broken=True)
    server.receive = breaks  # type: ignore[method-assign]  # as of a server that is stopping
    with receiver_failed.captured() as failed:
        await serve(fails_to_send, server)
    assert [(each.signal, each.receiver) for each in failed] == [("websocket_finished", "HTTPEventsMiddleware")]
    assert [each.close_code for each in sessions] == ["1006"]


async def test_a_client_is_looked_after_each_second_while_the_application_sends(
    monkeypatch: pytest.MonkeyPatch, sessions: Sessions
) -> None:
    """Most servers drop what is sent to a client that is gone."""
    now, server = 1000.0, Server()
    monkeypatch.setattr(websocket, "perf_counter", lambda: now)

    async def receive() -> Any:
        while not server.incoming:  # noqa: ASYNC110 - it is looked at each turn of the loop
            await asyncio.sleep(0)
        return server.incoming.pop()

    server.receive = receive  # type: ignore[method-assign]  # a message may come while it is waited for
    looked_at = []

    async def app(_receive: Any, send: Any) -> None:
        nonlocal now
        await send(ACCEPT)
        for elapsed in (0.5, 1.0, 1.5, 2.5, 2.75):
            now = 1000.0 + elapsed
            server.incoming = [WORD]
            await send({"type": "websocket.http.response.debug"})
            assert server.incoming == [WORD]
            await send(TICK)
            looked_at.extend([elapsed] * (server.incoming == []))
        now += 1.25
        server.incoming = [GONE]
        await send(TICK)

    await serve(app, server)
    assert looked_at == [1.5, 2.75]
    assert [(each.close_code, each.received, each.sent, each.duration) for each in sessions] == [("1001", 2, 5, 4.0)]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"code": 1000}, "1000"),
        ({"code": 1015}, "1015"),
        ({"code": 999}, "other"),
        ({"code": 1016}, "other"),
        ({"code": 0}, "1005"),
        ({"code": None}, "1005"),
        ({}, "1005"),
    ],
)
async def test_a_code_of_the_client_is_a_registered_one_or_other(message: Any, code: str, sessions: Sessions) -> None:
    async def app(receive: Any, send: Any) -> None:
        await send(ACCEPT)
        await receive()

    await serve(app, Server({"type": "websocket.disconnect", **message}))
    assert [each.close_code for each in sessions] == [code]


@pytest.mark.parametrize(("message", "code"), [({}, "1000"), ({"code": 1012}, "1012"), ({"code": 4999}, "4999")])
async def test_a_code_of_the_application_is_its_own(message: Any, code: str, sessions: Sessions) -> None:
    await serve(sends(ACCEPT, {**CLOSE, **message}, {**CLOSE, "code": 1011}), Server())
    assert [each.close_code for each in sessions] == [code]


async def test_messages_are_counted_in_each_direction(sessions: Sessions, requests: Requests) -> None:
    async def app(receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        for message in (TICK, TICK, TICK):
            await send(message)
        await receive()
        await receive()
        await send(CLOSE)

    server = Server({"type": "websocket.connect"}, WORD, WORD)
    await serve(app, server)
    assert [(each.received, each.sent, each.error) for each in sessions] == [(2, 3, "")]
    assert server.sent == [ACCEPT, TICK, TICK, TICK, CLOSE]
    assert requests == []


START = {"type": "websocket.http.response.start", "status": 401, "headers": []}
BODY = {"type": "websocket.http.response.body", "body": b"no"}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([CLOSE], (403, "client_error", "")),
        ([START, BODY], (401, "client_error", "")),
        ([{**START, "status": 503}, {**BODY, "more_body": True}, BODY], (503, "server_error", "")),
        ([START, {**BODY, "more_body": True}], (401, "stream_aborted", "IncompleteResponse")),
        ([START], (401, "stream_aborted", "IncompleteResponse")),
        ([], (500, "server_error", "IncompleteResponse")),
        ([CLOSE, CLOSE], (403, "client_error", "")),
    ],
)
async def test_a_handshake_that_is_refused_is_a_request(
    messages: list[Any], expected: tuple[int, str, str], sessions: Sessions, requests: Requests
) -> None:
    await serve(sends(*messages), Server())
    assert [(each.status_code, each.outcome, each.error) for each in requests] == [expected]
    assert (requests[0].method, requests[0].request_size, requests[0].response_size) == ("GET", 0, None)
    assert sessions == []


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TimeoutError(), (500, "timeout", "TimeoutError")),
        (LookupError(), (500, "server_error", "LookupError")),
        (ExceptionGroup("one", [LookupError()]), (500, "server_error", "LookupError")),
        (asyncio.CancelledError(), (500, "cancelled", "CancelledError")),
    ],
)
async def test_a_handshake_that_fails_has_the_error(
    error: BaseException, expected: tuple[int, str, str], requests: Requests
) -> None:
    async def app(_receive: Any, _send: Any) -> None:
        raise error

    with pytest.raises(type(error)):
        await serve(app, Server())
    assert [(each.status_code, each.outcome, each.error) for each in requests] == [expected]


async def test_durations_are_those_of_the_handshake_and_of_the_session(
    monkeypatch: pytest.MonkeyPatch, sessions: Sessions, requests: Requests
) -> None:
    """A session begins when it is accepted."""
    now = 1000.0
    monkeypatch.setattr(websocket, "perf_counter", lambda: now)

    def after(seconds: float, *messages: Any) -> Callable[[Any, Any], Awaitable[None]]:
        async def app(_receive: Any, send: Any) -> None:
            nonlocal now
            for message in messages:
                now += seconds
                await send(message)

        return app

    await serve(after(2.0, CLOSE), Server())
    await serve(after(3.0, ACCEPT, CLOSE), Server())
    assert [each.duration for each in requests] == [2.0]
    assert [each.duration for each in sessions] == [3.0]


async def test_a_handshake_is_an_open_request_and_an_accepted_one_an_open_websocket() -> None:
    before = len(open_requests.requests), len(open_requests.websockets)

    def opened() -> tuple[int, int]:
        return len(open_requests.requests) - before[0], len(open_requests.websockets) - before[1]

    async def app(_receive: Any, send: Any) -> None:
        assert opened() == (1, 0)
        await send(ACCEPT)
        assert opened() == (0, 1)
        await send(CLOSE)
        assert opened() == (0, 0)

    async def refusing(_receive: Any, send: Any) -> None:
        assert opened() == (1, 0)
        await send(CLOSE)
        assert opened() == (0, 0)

    await serve(app, Server())
    await serve(refusing, Server())
    scope = {"type": "websocket", "path": "/", "headers": []}
    await HTTPEventsMiddleware(lambda *_: asyncio.sleep(0))(scope, receive_nothing, send_nowhere)
    assert opened() == (0, 0)
