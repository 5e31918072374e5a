"""The middleware: puts a watch on each request and each websocket, and lets everything else pass."""

from __future__ import annotations

from collections.abc import Iterable

from ...bus.failures import report_failure
from ...http import http_request_finished
from ..asgi_types import ASGIApp, Receive, Scope, Send, send_raises_on_disconnect
from .request import Exchange, OutspokenExchange
from .routes import Templates
from .websocket import Session

_SEEN = "events.http_request"
_TOLD = ("http", "websocket")


class HTTPEventsMiddleware:
    """ASGI middleware that tells each request once, when its answer ends, and each websocket when it is closed.

    The event is told *just before* the last chunk goes to the server. So a client that has its whole answer and then
    reads the metrics finds its own request counted. The price: should that very last write fail, the request is told
    as answered. Work after the last chunk (background tasks) is not the client's waiting time and is not measured.

    Status code: the one that was sent; 499 when the client went away first; 500 when the application raised, was
    cancelled or ended before it sent any. ``error`` names what was raised, also when the answer had begun by then.

    Paths in ``exclude`` are not told, with or without a slash at the end. The lifespan passes untouched. Where several
    are stacked, in mounted applications for example, the outermost tells.

    Raises:
        TypeError: ``exclude`` is one string, which would be read letter by letter.
    """

    def __init__(self, app: ASGIApp, exclude: Iterable[str] = ("/metrics",)) -> None:
        if isinstance(exclude, str):
            raise TypeError(f"exclude takes several paths: write exclude=({exclude!r},)")
        self.app = app
        self.exclude = frozenset(path for each in exclude for path in (each.rstrip("/"), each.rstrip("/") + "/"))
        self.templates = Templates()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        watch = self._watch(scope, receive, send)
        if watch is None:
            await self.app(scope, receive, send)
            return
        try:
            await self.app(scope, watch.receive, watch.send)
        except BaseException as error:
            watch.leave(error)
            raise
        watch.leave(None)

    def _watch(self, scope: Scope, receive: Receive, send: Send) -> Exchange | Session | None:
        try:
            kind = scope["type"]
            if kind not in _TOLD or _SEEN in scope or self._excluded(scope):
                return None
            scope[_SEEN] = True
            if kind == "websocket":
                return Session(scope, receive, send, self.templates)
            watch = OutspokenExchange if send_raises_on_disconnect(scope) else Exchange
            return watch(scope, receive, send, self.templates)
        except Exception as failure:  # a scope such as no server makes: it is the application's to refuse
            report_failure(http_request_finished.name, "HTTPEventsMiddleware", failure)
            return None

    def _excluded(self, scope: Scope) -> bool:
        path: str = scope["path"]
        if path in self.exclude:
            return True
        root: str = scope.get("root_path") or ""
        return root != "" and path.removeprefix(root) in self.exclude
