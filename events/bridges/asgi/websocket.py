"""Tracks one websocket from its handshake to its close."""

from __future__ import annotations

from math import inf
from time import perf_counter

from ...bus.failures import report_failure
from ...bus.scope import current_scope
from ...http import Outcome, http_request_finished, websocket_finished
from ..asgi_types import Message, Receive, Scope, Send
from . import inbox, open_requests
from .declared_routes import ABNORMAL_CLOSURE, announce_closure
from .inbox import Inbox
from .outcomes import CLIENT_CLOSED_REQUEST, error_name, outcome_of_failure, outcome_of_status
from .routes import RouteTemplates
from .surrounding import surrounding_scope

NO_STATUS_RECEIVED = 1005  # the same: a Close frame without a code
REGISTERED_CODES = range(1000, 1016)
FORBIDDEN = 403  # what a server responds where the application closes before it accepts (ASGI, "Close - send event")
SECONDS_BETWEEN_LOOKS = 1.0
"""How often an application that sends, and does not receive, is looked after for a client that has disconnected."""


class WebsocketTracker:
    """Stands between the application and the server; emits `websocket_finished` once, when an accepted socket closes.

    A handshake that fails is emitted as the HTTP request that it was, `http_request_finished`: with the status code of
    its refusal, 500 where the application failed, 499 where the client disconnected first.
    """

    __slots__ = ("_accepted", "_denial_status", "_emitted", "_inbox", "_messages_received", "_messages_sent",
                 "_next_look", "_receive", "_receiving", "_route_templates", "_scope", "_send",
                 "_started_at", "applications")  # fmt: skip

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, route_templates: RouteTemplates, applications: list[str]
    ) -> None:
        self._started_at = perf_counter()
        self.applications = applications
        self._scope = scope
        self._receive = receive
        self._send = send
        self._route_templates = route_templates
        self._accepted = False
        self._denial_status = 0  # of a response that the application sends instead of accepting
        self._messages_received = self._messages_sent = 0
        self._receiving = False  # the application awaits a message
        self._emitted = False
        self._inbox: Inbox | None = None  # from a search for the disconnect on
        self._next_look = inf  # when a message is sent after this time, such a search is made
        open_requests.requests.add(self)  # until it is accepted
        current_scope.set(surrounding_scope())

    def finish(self, error: BaseException | None) -> None:
        """Emit the event unless that is done: the application has returned, or raised ``error``."""
        if self._inbox is not None:
            self._inbox.close()
        if self._accepted:
            self._emit_closed(ABNORMAL_CLOSURE, error)
        else:
            outcome = outcome_of_failure(error, self._denial_status)
            self._emit_rejected(self._denial_status or 500, outcome, error_name(error) or "IncompleteResponse")

    async def receive(self) -> Message:
        """Return the next message from the server to the application."""
        self._receiving = True
        try:
            if self._inbox is not None:
                return await self._inbox.take()
            message = await self._receive()
        finally:
            self._receiving = False
        self._observe_received(message)
        return message

    def _observe_received(self, message: Message) -> None:
        try:
            if message["type"] == "websocket.receive":
                self._messages_received += 1
            elif message["type"] == "websocket.disconnect":
                if self._accepted:
                    self._emit_closed(message.get("code") or NO_STATUS_RECEIVED, by_client=True)
                else:
                    self._emit_rejected(CLIENT_CLOSED_REQUEST, "client_disconnect")
        except Exception as failure:
            self._report(failure)

    async def send(self, message: Message) -> None:
        """Pass the application's next message on to the server."""
        try:
            if perf_counter() > self._next_look and message["type"] == "websocket.send":
                await self._look_for_close()
            self._observe_sent(message)
        except Exception as failure:
            self._report(failure)
        try:
            await self._send(message)
        except OSError:  # the client is gone (ASGI 2.4, "Disconnected Client")
            await self._look_for_close()
            raise

    def _observe_sent(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.send":
            self._messages_sent += 1
        elif kind == "websocket.accept":
            self._accepted = True
            self._started_at = perf_counter()
            self._next_look = self._started_at + SECONDS_BETWEEN_LOOKS
            open_requests.requests.discard(self)
            open_requests.websockets.add(self)
            announce_closure([(self._route_templates.endpoint(self._scope), self.applications)])
        elif kind == "websocket.close" and self._accepted:
            self._emit_closed(message.get("code") or 1000)
        elif kind == "websocket.close":
            self._emit_rejected(FORBIDDEN, outcome_of_status(FORBIDDEN))
        elif kind == "websocket.http.response.start":
            self._denial_status = message["status"]
        elif kind == "websocket.http.response.body" and not message.get("more_body", False):
            self._emit_rejected(self._denial_status, outcome_of_status(self._denial_status))

    async def _look_for_close(self) -> None:
        """Search the messages that the application has not received for the disconnect, which has the client's code.

        Most servers drop what is sent to a client that is gone, and an application that only sends would never end.
        """
        try:
            self._next_look = perf_counter() + SECONDS_BETWEEN_LOOKS
            if self._inbox is None:
                self._inbox = Inbox(self._receive, self._observe_received)
            while not (self._emitted or self._receiving) and len(self._inbox) < inbox.MAX_MESSAGES:
                if not await self._inbox.look(inbox.MAX_WAIT):
                    return
        except Exception as failure:
            self._report(failure)

    def _emit_closed(self, code: int, error: BaseException | None = None, *, by_client: bool = False) -> None:
        if self._emitted:
            return
        self._emitted = True
        open_requests.websockets.discard(self)
        try:
            websocket_finished.emit(
                channel=self._route_templates.endpoint(self._scope),
                close_code="other" if by_client and code not in REGISTERED_CODES else str(code),
                duration=perf_counter() - self._started_at,
                received=self._messages_received,
                sent=self._messages_sent,
                error=error_name(error),
                applications="/".join(self.applications),
            )
        except Exception as failure:
            self._report(failure)

    def _emit_rejected(self, status: int, outcome: Outcome, error: str = "") -> None:
        if self._emitted:
            return
        self._emitted = True
        open_requests.requests.discard(self)
        duration = perf_counter() - self._started_at
        try:
            http_request_finished.emit(
                method="GET",  # as RFC 6455 has it; HTTP/2's CONNECT of RFC 8441 looks the same from here
                endpoint=self._route_templates.endpoint(self._scope, status),
                status_code=status,
                outcome=outcome,
                duration=duration,
                self_time=duration,
                request_size=0,
                error=error,
                applications="/".join(self.applications),
            )
        except Exception as failure:
            self._report(failure)

    def _report(self, failure: Exception) -> None:
        report_failure(websocket_finished.name, "HTTPEventsMiddleware", failure)
