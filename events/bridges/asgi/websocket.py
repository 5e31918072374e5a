"""One websocket, watched from its handshake to its close."""

from __future__ import annotations

from time import perf_counter

from ...bus.failures import report_failure
from ...http import Outcome, http_request_finished, websocket_finished
from ..asgi_types import Message, Receive, Scope, Send
from . import disconnects, in_flight
from .request import CLIENT_GONE, alone, answered, cut_short
from .routes import Templates

ABNORMAL = 1006  # RFC 6455, section 7.1.5: the connection ended without a Close frame
NO_CODE = 1005  # a Close frame that named none
REFUSED = 403  # what a server answers where the application closes before it accepts (ASGI, "Close - send event")
STANDARD = range(1000, 1016)
MOST_HELD = 100  # messages that are read ahead for the application in search of the last one


class Session:
    """Stands between the application and the server; tells an accepted websocket once, when it is closed.

    A handshake that came to nothing is told as the HTTP request that it was: with the code of its refusal, 500 where
    the application failed, 499 where the client did not wait.
    """

    __slots__ = ("_accepted", "_began", "_held", "_receive", "_received", "_refused", "_scope", "_send", "_sent",
                 "_templates", "_told", "_waiting")  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, send: Send, templates: Templates) -> None:
        self._began = perf_counter()
        self._scope = scope
        self._receive = receive
        self._send = send
        self._templates = templates
        self._accepted = False
        self._refused = 0  # the code of an answer of the application's own
        self._received = self._sent = 0
        self._waiting = False
        self._told = False
        self._held: list[Message] = []
        in_flight.requests.add(self)  # until it is accepted

    def leave(self, error: BaseException | None) -> None:
        """Take note that the application has returned, or what it raised."""
        if self._accepted:
            self._end(ABNORMAL, error)
        else:
            self._refuse(self._refused or 500, cut_short(error, self._refused), name_of(error) or "IncompleteResponse")

    async def receive(self) -> Message:
        """Hand the application the server's next message."""
        if self._held:
            return self._held.pop(0)
        self._waiting = True
        try:
            message = await self._receive()
        finally:
            self._waiting = False
        try:
            self._look_at(message)
        except Exception as failure:
            self._fail(failure)
        return message

    def _look_at(self, message: Message) -> None:
        if message["type"] == "websocket.receive":
            self._received += 1
        elif message["type"] == "websocket.disconnect":
            if self._accepted:
                self._end(message.get("code") or NO_CODE, theirs=True)
            else:
                self._refuse(CLIENT_GONE, "client_disconnect")

    async def send(self, message: Message) -> None:
        """Hand the server the application's next message."""
        try:
            self._look_at_sent(message)
        except Exception as failure:
            self._fail(failure)
        try:
            await self._send(message)
        except OSError:  # nobody is there any more (ASGI 2.4, "Disconnected Client")
            await self._seek_last_word()
            raise

    def _look_at_sent(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.send":
            self._sent += 1
        elif kind == "websocket.accept":
            self._accepted = True
            self._began = perf_counter()
            in_flight.requests.discard(self)
            in_flight.websockets.add(self)
        elif kind == "websocket.close" and self._accepted:
            self._end(message.get("code") or 1000)
        elif kind == "websocket.close":
            self._refuse(REFUSED, answered(REFUSED))
        elif kind == "websocket.http.response.start":
            self._refused = message["status"]
        elif kind == "websocket.http.response.body" and not message.get("more_body", False):
            self._refuse(self._refused, answered(self._refused))

    async def _seek_last_word(self) -> None:
        """Look for the client's close code among what it said that the application did not listen to."""
        try:
            while not (self._told or self._waiting) and len(self._held) < MOST_HELD:
                message = await disconnects.ready(self._receive)
                if message is None:
                    return
                self._held.append(message)
                self._look_at(message)
        except Exception as failure:
            self._fail(failure)

    def _end(self, code: int, error: BaseException | None = None, *, theirs: bool = False) -> None:
        if self._told:
            return
        self._told = True
        in_flight.websockets.discard(self)
        try:
            websocket_finished.emit(
                channel=self._templates.name(self._scope, 101),
                close_code="other" if theirs and code not in STANDARD else str(code),
                duration=perf_counter() - self._began,
                received=self._received,
                sent=self._sent,
                error=name_of(error),
            )
        except Exception as failure:
            self._fail(failure)

    def _refuse(self, status: int, outcome: Outcome, error: str = "") -> None:
        if self._told:
            return
        self._told = True
        in_flight.requests.discard(self)
        try:
            http_request_finished.emit(
                method="GET",  # as RFC 6455 has it; HTTP/2's CONNECT of RFC 8441 looks the same from here
                endpoint=self._templates.name(self._scope, status),
                status_code=status,
                outcome=outcome,
                duration=perf_counter() - self._began,
                request_size=0,
                error=error,
            )
        except Exception as failure:
            self._fail(failure)

    def _fail(self, failure: Exception) -> None:
        report_failure(websocket_finished.name, "HTTPEventsMiddleware", failure)


def name_of(error: BaseException | None) -> str:
    """Name what was raised, if anything was."""
    return "" if error is None else type(alone(error)).__name__
