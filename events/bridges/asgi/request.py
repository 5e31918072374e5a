"""Tracks one request and its response, between the server and the application."""

from __future__ import annotations

from collections.abc import Awaitable
from time import perf_counter
from typing import Any, get_args

from ...bus.failures import report_failure
from ...bus.scope import current_scope, exit_scope
from ...http import Method, Outcome, http_request_finished
from ...request_phases import EMITTED_SIGNALS, RequestPhases
from ..asgi_types import Message, Receive, Scope, Send, content_length
from . import disconnects, inbox, open_requests
from .inbox import Inbox
from .outcomes import CLIENT_CLOSED_REQUEST, outcome_of_failure, outcome_of_status, unwrap_group
from .request_emitters import FINISHED, WAITED, emitters_of
from .request_scope import RequestScope
from .routes import UNMATCHED, RouteTemplates
from .surrounding import REQUEST, surrounding_scope

METHODS: dict[str, Method] = {method: method for method in get_args(Method) if method != "other"}
METHOD_NOT_ALLOWED = 405
STATUSES_WITHOUT_BODY = (204, 304)  # RFC 9110, sections 15.3.5 and 15.4.5
PATHSEND = "http.response.pathsend"
FILE_MESSAGES = (PATHSEND, "http.response.zerocopysend")  # ASGI extensions: the server reads the file itself
_NO_FIELDS: dict[str, Any] = {}
_NO_TOTALS: dict[str, tuple[tuple[str, str | None], ...]] = dict.fromkeys(EMITTED_SIGNALS, ())


class RequestTracker:
    """Stands between the application and the server; emits `http_request_finished` once, however the request ends.

    It passes each message on unchanged, adds up body sizes and takes the time. What it cannot read in a message is left
    for the server to refuse.
    """

    __slots__ = ("_content_length", "_disconnected", "_emitted", "_endpoint", "_event_scope", "_first_byte", "_inbox",
                 "_outer_scope", "_receive", "_receiving", "_request_bytes", "_request_complete", "_response_bytes",
                 "_route_templates", "_scope", "_send", "_sent_by_server", "_server", "_started_at", "_status",
                 "_streamed", "applications")  # fmt: skip

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, route_templates: RouteTemplates, applications: list[str]
    ) -> None:
        self._started_at = perf_counter()
        self.applications = applications
        self._scope = scope
        self._receive = receive
        self._send = send
        self._route_templates = route_templates
        self._server = getattr(receive, "__self__", None)
        self._status = self._response_bytes = self._request_bytes = 0
        self._content_length: int | None = None  # of the response, as its header says
        self._first_byte: float | None = None  # seconds until the first of several chunks of the body
        self._inbox: Inbox | None = None  # from a check on
        self._streamed = False
        self._sent_by_server = False  # some of the response: the server reads it from a file
        self._request_complete = False  # the application has received the whole request body
        self._disconnected = False
        self._receiving = False  # the application awaits a message
        self._emitted = False
        open_requests.requests.add(self)
        self._outer_scope = outer = current_scope.get()
        self._event_scope = event_scope = RequestScope(
            _NO_FIELDS, None if outer is None else surrounding_scope(), _NO_TOTALS, REQUEST
        )
        event_scope.source = self
        event_scope.aggregator_maker = self
        current_scope.set(event_scope)

    def finish(self, error: BaseException | None) -> None:
        """Emit the event unless that is done: the application has returned, or raised ``error``."""
        exit_scope(self._event_scope, self._outer_scope)
        if self._inbox is not None:
            self._inbox.close()
        if not self._emitted:
            self._emit(perf_counter() - self._started_at, error, complete=False)
        event_scope = self._event_scope
        endpoint = event_scope.source = getattr(self, "_endpoint", UNMATCHED)  # and no cycle is left to the collector
        if event_scope.hooks:  # somebody accounts for what the request did
            event_scope.fields["endpoint"] = endpoint
            event_scope.fields["applications"] = "/".join(self.applications)
        event_scope.end()

    def find_endpoint(self) -> str:
        """Return the endpoint, as far as the router has found it by now."""
        return getattr(self, "_endpoint", "") or self._route_templates.endpoint(self._scope)

    def make_aggregator(self) -> RequestPhases:
        """Return what takes the time of databases, models and tools: most requests ask none."""
        return RequestPhases(self._started_at)

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
            if message["type"] == "http.disconnect":
                self._disconnected = True
            else:
                self._request_bytes += len(message.get("body", b""))
                self._request_complete = not message.get("more_body", False)
        except Exception as failure:
            self._report(failure)

    def send(self, message: Message) -> Awaitable[None]:
        """Pass the application's next message on to the server."""
        if not self._emitted:
            try:
                if self._completes_response(message):
                    duration = perf_counter() - self._started_at
                    if duration > disconnects.CHECK_AFTER_SECONDS:
                        return self._check_and_send(message)
                    self._emit(duration)
            except Exception as failure:
                self._report(failure)
        return self._send(message)

    def _completes_response(self, message: Message) -> bool:
        # A client has the whole response once it has as many bytes as Content-Length says, and may read the metrics
        # then. The empty last chunk that some middlewares send after that comes too late.
        kind = message["type"]
        if kind == "http.response.body":
            size = len(message.get("body", b""))
            self._response_bytes += size
            if not message.get("more_body", False):
                return True
            if size and self._first_byte is None:
                self._first_byte = perf_counter() - self._started_at
            length = self._content_length
            self._streamed = length is None
            return length is not None and self._response_bytes >= length
        if kind == "http.response.start":
            status = self._status = message["status"]
            length = self._content_length = content_length(message.get("headers"))
            return length == 0 or status in STATUSES_WITHOUT_BODY or self._scope["method"] == "HEAD"
        if kind in FILE_MESSAGES:
            self._sent_by_server = True
            return kind == PATHSEND or not message.get("more_body", False)
        return False  # a push, an early hint, trailers

    async def _check_and_send(self, message: Message) -> None:
        if not self._disconnected:
            try:
                await self._check_disconnect()
            except Exception as failure:
                self._report(failure)
        if not self._emitted:
            self._emit(perf_counter() - self._started_at)
        await self._send(message)

    async def _check_disconnect(self) -> None:
        await disconnects.poll_socket(self._server)
        if disconnects.client_disconnected(self._server):
            self._disconnected = True
        now = perf_counter()
        deadline = now + inbox.longest_wait(now - self._started_at)
        for _ in range(inbox.MAX_MESSAGES):  # an unread request body comes before the disconnect
            if self._disconnected or self._receiving:
                return
            if not (self._request_complete or disconnects.may_prefetch_body(self._scope)):
                return
            if self._inbox is None:
                self._inbox = Inbox(self._receive, self._observe_received)
            if not await self._inbox.look(deadline - perf_counter()):
                return  # still connected, as far as the server says

    def _emit(self, duration: float, error: BaseException | None = None, *, complete: bool = True) -> None:
        self._emitted = True
        event_scope = self._event_scope
        event_scope.aggregator_maker = None  # it is answered: what comes now is not the client's waiting time
        open_requests.requests.discard(self)
        status = self._status
        if isinstance(error, BaseExceptionGroup):
            error = unwrap_group(error)
        error_name = "" if error is None else type(error).__name__
        outcome: Outcome
        # The second condition is disconnects.client_disconnected, inlined.
        if self._disconnected or getattr(self._server, "disconnected", False) is True:
            outcome, code = "client_disconnect", CLIENT_CLOSED_REQUEST
        elif complete and status:
            outcome, code = "ok" if status < 400 else outcome_of_status(status), status
        else:
            outcome, code = outcome_of_failure(error, status), status or 500
            error_name = error_name or "IncompleteResponse"
        try:
            scope = self._scope
            # A method that the route does not have is the client's choice: a scanner would fill the limit of series.
            method = "other" if status == METHOD_NOT_ALLOWED else METHODS.get(scope["method"], "other")
            endpoint = self._route_templates.endpoint(scope, status)
            first_byte = duration if complete and self._first_byte is None else self._first_byte
            received = self._request_bytes
            request_size = received if self._request_complete else unread_body_size(scope, received)
            response_size = self._content_length if self._sent_by_server else self._response_bytes
            applications = "/".join(self.applications) if self.applications else ""
            self._endpoint = endpoint
            own = duration
            if event_scope.aggregator is not None:
                own = self._emit_waited(endpoint, applications, duration)
            emitters = emitters_of(applications) if applications else FINISHED
            emitters[method, endpoint, int(code), outcome, self._streamed, error_name](
                (duration, first_byte, request_size, response_size, own)
            )
        except Exception as failure:
            self._report(failure)

    def _emit_waited(self, endpoint: str, applications: str, duration: float) -> float:
        """Emit what the request has waited for, and return the rest of its duration."""
        times = self._event_scope.take_aggregated(http_request_finished.name, self._started_at + duration)
        if not times:
            return duration
        WAITED[endpoint, applications](
            (times["database_time"], times["llm_time"], times["tool_time"], times["backoff_time"])
        )
        own: float = times["self_time"]
        return own

    def _report(self, failure: Exception) -> None:
        report_failure(http_request_finished.name, "HTTPEventsMiddleware", failure)


class RequestTrackerASGI24(RequestTracker):
    """The tracker for servers of ASGI 2.4 and newer, whose `send` raises `OSError` once the client is gone."""

    __slots__ = ()

    async def send(self, message: Message) -> None:
        """Pass the application's next message on to the server."""
        try:
            await super().send(message)
        except OSError:
            self._disconnected = True
            raise


def unread_body_size(scope: Scope, received: int) -> int | None:
    """Return the bytes of a request body that was not read to its end: as announced, None where it may be any number.

    ``received`` is how many of them were read.
    """
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
        if name == b"transfer-encoding":
            return None
    return received if scope.get("http_version") in ("1.1", "1.0") else None  # HTTP/2 may leave Content-Length out
