"""HTTP requests told as `http_request_finished`: pure ASGI, for any framework and any server.

>>> app.add_middleware(HTTPEvents)  # doctest: +SKIP

or, around a finished application, ``app = HTTPEvents(app)``. The first sits inside the framework's own handler of
unexpected errors: an exception that reaches it is told as 500, whatever that handler makes of it. The second sees what
is sent, not the exception behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from time import perf_counter
from typing import Any, cast, get_args

from ..fields import UNKNOWN
from ..http import Method, http_request_finished
from ..scope import Inside, current
from ..scope import Scope as Enclosing
from ..signal import tell_failure
from .routes import Templates

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

CLIENT_GONE = 499  # nginx's number for a client that closed the connection; no standard has one
METHODS = frozenset(get_args(Method)) - {"other"}
WORTH_ASKING = 0.05  # seconds; see Exchange.ask_whether_gone
_SEEN = "events.http_request"


class HTTPEvents:
    """ASGI middleware that tells each request once, when its answer ends.

    The event is told *just before* the last chunk goes to the server. So a client that has its whole answer and then
    reads the metrics finds its own request counted. The price: should that very last write fail, the request is told
    as answered. Work after the last chunk (background tasks) is not the client's waiting time and is not measured.

    Status code: the one that was sent; 499 when the client went away first; 500 when the application raised, was
    cancelled or ended before it sent any. ``error`` names what was raised, also when the answer had begun by then.

    Paths in ``exclude`` are not told, with or without a slash at the end. Websockets and lifespan pass untouched.
    Where several are stacked, in mounted applications for example, the outermost tells.

    Raises:
        TypeError: ``exclude`` is one string, which would be read letter by letter.
    """

    def __init__(self, app: ASGIApp, exclude: Iterable[str] = ("/metrics",)) -> None:
        if isinstance(exclude, str):
            raise TypeError(f"exclude takes several paths: write exclude=({exclude!r},)")
        self.app = app
        self.exclude = frozenset(path.rstrip("/") for path in exclude)
        self.templates = Templates()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or _SEEN in scope or self._excluded(scope):
            await self.app(scope, receive, send)
            return
        scope[_SEEN] = True
        exchange = Exchange(scope, receive, send, self.templates)
        try:
            with Inside(Enclosing({}, current.get(), {}, "http_request"), whole=True):
                await self.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.end(error=type(error).__name__)
            raise
        exchange.end(error="IncompleteResponse")

    def _excluded(self, scope: Scope) -> bool:
        path: str = scope["path"]
        root = scope.get("root_path") or ""
        return path.rstrip("/") in self.exclude or (root != "" and path.removeprefix(root).rstrip("/") in self.exclude)


class Exchange:
    """One request and its answer, watched on their way."""

    __slots__ = ("_began", "_gone", "_held", "_read", "_receive", "_scope", "_send", "_status", "_templates", "_told",
                 "_waiting")  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, send: Send, templates: Templates) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._templates = templates
        self._status = 0
        self._told = False
        self._gone = False  # the client
        self._read = False  # the whole request body
        self._waiting = False  # the application, for a message
        self._held: Message | None = None
        self._began = perf_counter()

    async def receive(self) -> Message:
        """Hand the application the server's next message."""
        if self._held is not None:
            message, self._held = self._held, None
            return message
        self._waiting = True
        try:
            message = await self._receive()
        finally:
            self._waiting = False
        self._look_at(message)
        return message

    def _look_at(self, message: Message) -> None:
        if message["type"] == "http.disconnect":
            self._gone = True
        elif not message.get("more_body", False):
            self._read = True

    async def send(self, message: Message) -> None:
        """Hand the server the application's next message."""
        kind = message["type"]
        if kind == "http.response.start":
            self._status = message["status"]
        elif not self._told and (
            (kind == "http.response.body" and not message.get("more_body", False)) or kind == "http.response.pathsend"
        ):
            if not self._gone and perf_counter() - self._began > WORTH_ASKING:
                try:
                    await self.ask_whether_gone()
                except Exception as failure:
                    tell_failure(http_request_finished.name, "HTTPEvents", failure)
            self.end()
        try:
            await self._send(message)
        except OSError:  # how a server says that nobody is there any more (ASGI 2.4, "Disconnected Client")
            self._gone = True
            raise

    async def ask_whether_gone(self) -> None:
        """Ask the server whether the client went away while the application worked.

        Servers drop what is sent to nobody in silence; `receive` alone says so, and most applications call it no more
        once they have read the request. The question costs a task or two and some turns of the event loop (80
        microseconds here), so it is asked only where the answer took hundreds of times as long. It is not asked while
        a body is unread, since asking would fetch it, nor while the application itself waits for a message.
        """
        if self._waiting or not (self._read or bodiless(self._scope)):
            return
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return  # another event loop than asyncio's
        for _ in range(2):  # the empty body of a request that nobody read comes first
            question = asyncio.ensure_future(self._receive())
            try:
                await asyncio.sleep(0)
            finally:
                question.cancel()  # nothing to one that is answered
            [answer] = await asyncio.gather(question, return_exceptions=True)
            if isinstance(answer, BaseException):
                return  # none yet, or none to be had: the client is there as far as anybody knows
            self._look_at(answer)
            if self._gone:
                return
            self._held = answer

    def end(self, error: str = "") -> None:
        """Tell the request, once."""
        if self._told:
            return
        self._told = True
        duration = perf_counter() - self._began
        status = CLIENT_GONE if self._gone else self._status or 500
        method = self._scope["method"]
        endpoint = UNKNOWN
        try:
            endpoint = self._templates.of(self._scope, self._status)
        except Exception as failure:  # a framework that changed its ways costs a label, not a request
            tell_failure(http_request_finished.name, "HTTPEvents", failure)
        http_request_finished.emit(
            method=cast(Method, method if method in METHODS else "other"),
            endpoint=endpoint,
            status_code=status,
            duration=duration,
            error=error,
        )


def bodiless(scope: Scope) -> bool:
    """Tell whether a request announces no body (RFC 9112, section 6.3)."""
    return not any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
