"""Tracks one request and its response, between the server and the application."""

from __future__ import annotations

from collections.abc import Awaitable
from time import perf_counter
from typing import Any, get_args

from ...bus.failures import report_failure
from ...bus.scope import NO_HOOKS, exit_scope, find_outer, get_current_scope, set_current_scope
from ...bus.scope import Scope as EventScope
from ...http import Method, http_request_finished
from ...request_phases import EMITTED_SIGNALS, RequestPhases
from ..asgi_types import Message, Receive, Scope, Send
from . import disconnects, inbox
from .inbox import Inbox
from .message_bodies import FILE_MESSAGES, PATHSEND, STATUSES_WITHOUT_BODY, BodyParts, unread_body_size
from .open_requests import add_request, discard_request
from .outcomes import failure_of
from .request_emitters import FINISHED, WAITED, emitters_of
from .routes import UNMATCHED, RouteTemplates
from .surrounding import REQUEST, surrounding_scope

METHODS: dict[str, Method] = {method: method for method in get_args(Method) if method != "other"}
_OK = 200
_ZERO = ord("0")
_NO_TOTALS: dict[str, float] = {}
_NOTHING_SUMMED: dict[str, tuple[tuple[str, str | None], ...]] = dict.fromkeys(EMITTED_SIGNALS, ())


class RequestTracker(EventScope):
    """The scope of a request, between the application and the server.

    It emits `http_request_finished` once, however the request ends, passes each message on unchanged, adds up body
    sizes and takes the time. What it cannot read in a message is left for the server to refuse.
    """

    __slots__ = ("_disconnected", "_emitted", "_endpoint", "_inbox", "_length", "_outer", "_parts", "_receive",
                 "_receiving", "_request_bytes", "_request_complete", "_response_bytes", "_route_templates", "_scope",
                 "_send", "_started_at", "_status", "applications")  # fmt: skip

    # The same of the scope of every request, so that none has to set it: nothing is summed, an aggregator takes events.
    kind = REQUEST
    totals = nested_totals = _NO_TOTALS
    span = None

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, route_templates: RouteTemplates, applications: list[str]
    ) -> None:
        self._started_at = perf_counter()
        self._outer = get_current_scope()
        # What `EventScope.__init__` does, but for what the class has: 1,100 instructions less for each request.
        self.parent = None
        self.fields = {}
        self.outer_of_a_kind = ()
        self.sums = _NOTHING_SUMMED
        self.in_generator = False
        self.hooks = NO_HOOKS
        self.aggregator = None
        self.aggregator_maker = self
        self.ended = False
        self.applications = applications
        self._endpoint = ""  # until it is emitted
        self._scope = scope
        self._receive = receive
        self._send = send
        self._route_templates = route_templates
        self._status = self._response_bytes = self._request_bytes = 0
        self._length: bytes | None = None  # of the response's body, as its header says
        self._parts: BodyParts | None = None  # of a body that is not sent as a whole
        self._inbox: Inbox | None = None  # from a check on
        self._request_complete = False  # the application has received the whole request body
        self._disconnected = False
        self._receiving = False  # the application awaits a message
        self._emitted = False
        if self._outer is not None and (parent := surrounding_scope()) is not None:
            self.parent = parent
            self.fields = {**parent.fields}
            self.outer_of_a_kind = find_outer(parent, REQUEST)
        add_request(self)
        set_current_scope(self)

    @property
    def endpoint(self) -> str:
        """The template of the request's route, as far as the router has found it by now, for log lines."""
        return self._endpoint or self._route_templates.endpoint(self._scope)

    def finish(self, error: BaseException | None) -> None:
        """Emit the event unless that is done: the application has returned, or raised ``error``."""
        if self._outer is None and get_current_scope() is self:
            set_current_scope(None)  # what `exit_scope` would do
        else:
            exit_scope(self, self._outer)
            self._outer = None  # a task that outlives the request holds no chain of those before it
        if self._inbox is not None:
            self._inbox.close()
        if not self._emitted:
            self._emit(perf_counter() - self._started_at, error, complete=False)
        if self.hooks is not NO_HOOKS:  # somebody accounts for what the request did
            self.fields["endpoint"] = self._endpoint or UNMATCHED
            self.fields["applications"] = "/".join(self.applications)
            self.end()
        else:
            self.ended = True  # all that `end` would do

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

    def send(self, message: Message) -> Awaitable[None]:  # noqa: C901, PLR0912 - in one piece: each request pays for calls
        """Pass the application's next message on to the server."""
        if not self._emitted:
            try:
                kind = message["type"]
                if kind == "http.response.body":
                    size = len(message["body"]) if "body" in message else 0  # no call, as `get` is one
                    self._response_bytes += size
                    is_complete = (
                        "more_body" not in message or not message["more_body"] or self._is_complete_after(size)
                    )
                elif kind == "http.response.start":
                    status = self._status = message["status"]
                    try:
                        headers = message["headers"]
                    except KeyError:
                        headers = ()
                    length: Any = None  # `content_length`, inlined, of which few responses need the number
                    if type(headers) is list or isinstance(headers, (list, tuple)):  # others can be consumed only once
                        for name, value in headers:
                            if name == b"content-length":
                                length = value
                                break
                    self._length = length
                    # The client has all of it: a body of no bytes, or none at all.
                    if (length and length[0] == _ZERO and not length.strip(b"0")) or self._scope["method"] == "HEAD":
                        is_complete = True
                    else:
                        is_complete = status != _OK and status in STATUSES_WITHOUT_BODY
                elif kind in FILE_MESSAGES:
                    parts = self._parts = self._parts or BodyParts()
                    parts.sent_by_server = True
                    is_complete = kind == PATHSEND or not message.get("more_body", False)
                else:
                    is_complete = False  # a push, an early hint, trailers
                if is_complete:
                    duration = perf_counter() - self._started_at
                    if duration > disconnects.CHECK_AFTER_SECONDS:
                        return self._check_and_send(message)
                    self._emit(duration)
            except Exception as failure:
                self._report(failure)
        send = self._send  # a call of `self._send` would look for a method first
        return send(message)

    def _is_complete_after(self, size: int) -> bool:
        """Note a chunk of so many bytes that is not the last; return whether the client needs no other.

        It has the whole response once it has as many bytes as Content-Length says, and may read the metrics then. The
        empty last chunk that some middlewares send after that comes too late.
        """
        parts = self._parts = self._parts or BodyParts()
        if size and parts.first_byte is None:
            parts.first_byte = perf_counter() - self._started_at
        length = self._content_length()
        parts.streamed = length is None
        return length is not None and self._response_bytes >= length

    def _content_length(self) -> int | None:
        """Return the bytes of the response's body, as its header says; None where it does not."""
        length = self._length
        return int(length) if isinstance(length, bytes) and length.isdigit() else None

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
        server = getattr(self._receive, "__self__", None)
        await disconnects.poll_socket(server)
        if disconnects.client_disconnected(server):
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
        self.aggregator_maker = None  # it is answered: what comes now is not the client's waiting time
        discard_request(self)
        status = self._status
        disconnected, has_rest = self._disconnected, not self._request_complete
        try:  # `disconnects.client_disconnected`, inlined
            server: Any = self._receive.__self__  # type: ignore[attr-defined]
            disconnected = disconnected or server.disconnected is True
            # uvicorn has received the whole request, and given all of it: most requests have no body.
            has_rest = has_rest and not (server.more_body is False and not server.body)
        except AttributeError:
            pass  # another server than uvicorn
        failure = None
        if disconnected or not (complete and status):
            failure = failure_of(error, status, disconnected=disconnected)
        try:
            scope = self._scope
            # Most are GET; to look it up would take the hash of the server's string, which is another one each time.
            method: Method = "GET" if scope["method"] == "GET" else METHODS.get(scope["method"], "other")
            endpoint = self._route_templates.endpoint(scope, status)
            received = self._request_bytes
            request_size = unread_body_size(scope, received) if has_rest else received
            first_byte = duration if complete else None
            response_size: int | None = self._response_bytes
            streamed = False
            parts = self._parts
            if parts is not None:
                streamed = parts.streamed
                if parts.first_byte is not None:
                    first_byte = parts.first_byte
                if parts.sent_by_server:
                    response_size = self._content_length()
            self._endpoint = endpoint
            applications, emitters = "", FINISHED
            if self.applications:
                applications = "/".join(self.applications)
                emitters = emitters_of(applications)
            own = duration
            if self.aggregator is not None:
                own = self._emit_waited(endpoint, applications, duration)
            emitters[method, endpoint, status, streamed, failure](
                (duration, first_byte, request_size, response_size, own)
            )
        except Exception as raised:
            self._report(raised)

    def _emit_waited(self, endpoint: str, applications: str, duration: float) -> float:
        """Emit what the request has waited for, and return the rest of its duration."""
        times = self.take_aggregated(http_request_finished.name, self._started_at + duration)
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
