"""One request and its answer, watched on their way."""

from __future__ import annotations

from collections.abc import Awaitable
from time import perf_counter
from typing import Any, get_args

from ...bus.context import Scope as Enclosing
from ...bus.context import current_scope, exit_scope
from ...bus.failures import report_failure
from ...http import Method, Outcome, http_request_finished
from ..asgi_types import Message, Receive, Scope, Send, content_length
from . import disconnects, in_flight
from .routes import Templates

CLIENT_GONE = 499  # nginx's number for a client that closed the connection; no standard has one
METHODS: dict[str, Method] = {method: method for method in get_args(Method) if method != "other"}
NOT_ALLOWED = 405
BODILESS = (204, 304)  # RFC 9110, sections 15.3.5 and 15.4.5
EMITTERS = http_request_finished.bind_by(
    ("method", "endpoint", "status_code", "outcome", "streamed", "error"),
    ("duration", "first_byte", "request_size", "response_size"),
)
_NO_FIELDS: dict[str, Any] = {}
_NO_TOTALS: dict[str, tuple[tuple[str, str | None], ...]] = {}
FILES = ("http.response.pathsend", "http.response.zerocopysend")  # ASGI's extensions: the server reads the file itself


class Exchange:
    """Stands between the application and the server; tells the request once, however it ends.

    On the way it adds up lengths and looks at the clock; what it finds wrong with a message is the server's to refuse.
    """

    __slots__ = ("_before", "_began", "_enclosing", "_first", "_given", "_held", "_left", "_length", "_read",
                 "_receive", "_scope", "_send", "_sent", "_server", "_status", "_streamed", "_templates", "_told",
                 "_unseen", "_waiting")  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, send: Send, templates: Templates) -> None:
        self._began = perf_counter()
        self._scope = scope
        self._receive = receive
        self._send = send
        self._templates = templates
        self._server = getattr(receive, "__self__", None)
        self._status = self._sent = self._given = 0  # the code; bytes of the answer and of the request
        self._length: int | None = None  # of the answer, as announced
        self._first: float | None = None  # piece of several
        self._held: list[Message] | None = None
        self._streamed = False
        self._unseen = False  # some of the answer: the server read it from a file
        self._read = False  # the whole request body
        self._left = False  # the client
        self._waiting = False  # the application, for a message
        self._told = False
        in_flight.requests.add(self)
        self._before = before = current_scope.get()
        self._enclosing = enclosing = Enclosing(_NO_FIELDS, before, _NO_TOTALS, "http_request")
        current_scope.set(enclosing)

    def leave(self, error: BaseException | None) -> None:
        """Take note that the application has returned, or what it raised."""
        exit_scope(self._enclosing, self._before)
        self._enclosing.end()
        if not self._told:
            self._end(perf_counter() - self._began, error, whole=False)

    async def receive(self) -> Message:
        """Hand the application the server's next message."""
        if self._held:
            return self._held.pop(0)
        self._waiting = True
        try:
            message = await self._receive()
        finally:
            self._waiting = False
        self._look_at(message)
        return message

    def _look_at(self, message: Message) -> None:
        try:
            if message["type"] == "http.disconnect":
                self._left = True
            else:
                self._given += len(message.get("body", b""))
                self._read = not message.get("more_body", False)
        except Exception as failure:
            self._fail(failure)

    def send(self, message: Message) -> Awaitable[None]:
        """Hand the server the application's next message."""
        if not self._told:
            try:
                if self._is_last(message):
                    duration = perf_counter() - self._began
                    if duration > disconnects.WORTH_ASKING:
                        return self._ask_and_send(message)
                    self._end(duration)
            except Exception as failure:
                self._fail(failure)
        return self._send(message)

    def _is_last(self, message: Message) -> bool:
        # The client has its whole answer once it got what was announced: what some middlewares send after that is an
        # end without content, and by then it may have read the metrics.
        kind = message["type"]
        if kind == "http.response.body":
            size = len(message.get("body", b""))
            self._sent += size
            if not message.get("more_body", False):
                return True
            if size and self._first is None:
                self._first = perf_counter() - self._began
            length = self._length
            self._streamed = length is None
            return length is not None and self._sent >= length
        if kind == "http.response.start":
            status = self._status = message["status"]
            length = self._length = content_length(message.get("headers"))
            return length == 0 or status in BODILESS or self._scope["method"] == "HEAD"
        if kind in FILES:
            self._unseen = True
            return kind == FILES[0] or not message.get("more_body", False)
        return False  # a push, an early hint, trailers

    async def _ask_and_send(self, message: Message) -> None:
        if not self._left:
            try:
                await self._ask_whether_gone()
            except Exception as failure:
                self._fail(failure)
        if not self._told:
            self._end(perf_counter() - self._began)
        await self._send(message)

    async def _ask_whether_gone(self) -> None:
        await disconnects.let_it_learn(self._server)
        if disconnects.known_gone(self._server):
            self._left = True
        for _ in range(2):  # what of the body nobody read comes first
            if self._left or self._waiting or not (self._read or disconnects.may_ask(self._scope)):
                return
            message = await disconnects.ready(self._receive)
            if message is None:
                return  # the client is there as far as anybody knows
            self._look_at(message)
            self._held = [*(self._held or ()), message]

    def _end(self, duration: float, error: BaseException | None = None, *, whole: bool = True) -> None:
        self._told = True
        in_flight.requests.discard(self)
        status = self._status
        if isinstance(error, BaseExceptionGroup):
            error = alone(error)
        name = "" if error is None else type(error).__name__
        outcome: Outcome
        if self._left or getattr(self._server, "disconnected", False) is True:  # see disconnects.known_gone
            outcome, code = "client_disconnect", CLIENT_GONE
        elif whole and status:
            outcome, code = "ok" if status < 400 else answered(status), status
        else:
            outcome, code = cut_short(error, status), status or 500
            name = name or "IncompleteResponse"
        try:
            scope = self._scope
            # What the route does not have is of the client's choosing: a scanner would fill the room for pairs.
            method = "other" if status == NOT_ALLOWED else METHODS.get(scope["method"], "other")
            endpoint = self._templates.name(scope, status)
            first_byte = duration if whole and self._first is None else self._first
            given = self._given if self._read else unread(scope, self._given)
            EMITTERS[method, endpoint, int(code), outcome, self._streamed, name](
                (duration, first_byte, given, self._length if self._unseen else self._sent)
            )
        except Exception as failure:
            self._fail(failure)

    def _fail(self, failure: Exception) -> None:
        report_failure(http_request_finished.name, "HTTPEventsMiddleware", failure)


class OutspokenExchange(Exchange):
    """The same with a server that says, by an `OSError`, that it can send to nobody any more."""

    __slots__ = ()

    async def send(self, message: Message) -> None:
        """Hand the server the application's next message."""
        try:
            await super().send(message)
        except OSError:
            self._left = True
            raise


def alone(error: BaseException) -> BaseException:
    """Take an exception out of the groups in which task groups raise it, where it is the only one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def answered(status: int) -> Outcome:
    """Name what became of a request that got its whole answer."""
    return "ok" if status < 400 else "client_error" if status < 500 else "server_error"


def cut_short(error: BaseException | None, status: int) -> Outcome:
    """Name what became of a request whose answer was not finished; ``status`` is 0 where it was not begun."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if error is not None and not isinstance(error, Exception):
        return "cancelled"  # CancelledError, trio's Cancelled, GeneratorExit, KeyboardInterrupt
    return "stream_aborted" if status else "server_error"


def unread(scope: Scope, given: int) -> int | None:
    """Give the size of a body that was not read to its end: as announced, else None where it may be anything."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
        if name == b"transfer-encoding":
            return None
    return given if scope.get("http_version") in ("1.1", "1.0") else None  # HTTP/2 announces nothing it need not
