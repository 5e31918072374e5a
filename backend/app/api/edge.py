"""The edge of the application: one middleware that sees each request before the routes do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from events import access_refused

from .host_check import HostCheck
from .request_body import RequestBody, announced_body, body_too_large

EXEMPT = frozenset({"/health", "/health/live", "/metrics"})
"""Paths that monitoring systems ask under whatever name they know; with or without a slash at the end."""


class EdgeMiddleware:
    """ASGI middleware that refuses requests of strangers, and limits the bodies of the others.

    It is one middleware, and a plain one: each that a request passes through costs it time.

    Args:
        app: The application.
        hosts: The names that a request may ask for, beside those of the loopback interface.
        max_body: The most bytes of a request's body.
        receive_timeout: The seconds that a body may take to come.
    """

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], max_body: int, receive_timeout: float) -> None:
        self.app = app
        self._host_check = HostCheck(hosts)
        self._max_body = max_body
        self._receive_timeout = receive_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        kind = scope["type"]
        if kind not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        error = self._refusal(scope, headers)
        if error is None and kind == "http":
            announced = announced_body(scope, headers)
            if announced is not None and announced > self._max_body:
                error = body_too_large(self._max_body)
            elif announced != 0:
                receive = RequestBody(scope, receive, self._max_body, self._receive_timeout).receive
        if error is None:
            await self.app(scope, receive, send)
        elif kind == "http":
            await JSONResponse({"detail": error.detail}, error.status_code, error.headers)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: answered with 403

    def _refusal(self, scope: Scope, headers: Mapping[bytes, bytes]) -> HTTPException | None:
        """Return the error that a request is answered with because of whom it asks and where it comes from, if any."""
        host = headers.get(b"host", b"")
        if not self._host_check.allows_host(host) and not is_exempt(scope):
            access_refused.emit(reason="host")
            return HTTPException(
                HTTPStatus.MISDIRECTED_REQUEST,
                "The Host of the request is not one of the studio's: "
                "ask localhost, or add the name to SPARKLIO_ALLOWED_HOSTS.",
            )
        method = scope.get("method", "CONNECT")  # a websocket is no safe request, though it begins as one
        origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site")
        if not self._host_check.allows_origin(method, host, origin, site):
            access_refused.emit(reason="origin")
            return HTTPException(HTTPStatus.FORBIDDEN, "The request comes from a page of another site.")
        return None


def is_exempt(scope: Scope) -> bool:
    """Return whether a request is one of a monitoring system."""
    path: str = scope["path"]
    root: Any = scope.get("root_path")
    return (path.removeprefix(root) if root else path).removesuffix("/") in EXEMPT
