"""The edge of the application: one middleware that sees each request before the routes do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus

from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from events import access_refused

from .host_check import SAFE_METHODS, HostCheck
from .keyring import KeyRing
from .page_policy import with_security_headers
from .request_body import RequestBody, announced_body, body_too_large
from .routers.login import LOGIN_PATH, LOGOUT_PATH, login_address

EXEMPT = frozenset({"/health", "/health/live", "/health/ready", "/metrics"})
"""Paths that monitoring systems ask under whatever name they know; with or without a slash at the end."""

WITHOUT_KEY = EXEMPT | {LOGIN_PATH, LOGOUT_PATH}


_MAX_QUOTED = 260  # bytes: a name has 253 at most, a port six with its colon


class EdgeMiddleware:
    """ASGI middleware that refuses requests of strangers, and limits the bodies of the others.

    It is one middleware, and a plain one: each that a request passes through costs it time.

    Args:
        app: The application.
        hosts: The names that a request may ask for, beside those of the loopback interface.
        keyring: The keys of the API.
        max_body: The most bytes of a request's body.
        receive_timeout: The seconds that a body may take to come.
        own_hosts: The addresses that the studio itself listens on.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Iterable[str],
        keyring: KeyRing,
        max_body: int,
        receive_timeout: float,
        own_hosts: Iterable[str] = (),
    ) -> None:
        self.app = app
        self._host_check = HostCheck(hosts, own_hosts)
        self._keyring = keyring
        self._max_body = max_body
        self._receive_timeout = receive_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        kind = scope["type"]
        if kind not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if kind == "http":
            send = protected(send)
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
            if error.status_code == HTTPStatus.UNAUTHORIZED and is_navigation(scope, headers):
                login = login_address(scope.get("root_path", ""), path_of(scope))
                await RedirectResponse(login, 303)(scope, receive, send)
                return
            await JSONResponse({"detail": error.detail}, error.status_code, error.headers)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: answered with 403

    def _refusal(self, scope: Scope, headers: Mapping[bytes, bytes]) -> HTTPException | None:
        """Return the error that a request is answered with because of whom it asks and where it comes from, if any."""
        host = headers.get(b"host", b"")
        if not (self._host_check.allows_host(host) or path_of(scope) in EXEMPT):
            access_refused.emit(reason="host")
            return HTTPException(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"The Host of the request, {quoted(host)}, is not one of the studio's: "
                "ask localhost, or add the name, without a port, to SPARKLIO_ALLOWED_HOSTS.",
            )
        # A websocket is no safe request, though it begins as one.
        if scope.get("method", "CONNECT") not in SAFE_METHODS and not self._host_check.allows_origin(
            host, headers.get(b"origin"), headers.get(b"sec-fetch-site")
        ):
            access_refused.emit(reason="origin")
            return HTTPException(
                HTTPStatus.FORBIDDEN,
                f"The request comes from a page of another site{named_origin(headers)}: "
                "if that is the studio's own name, add it to SPARKLIO_ALLOWED_HOSTS.",
            )
        if not (self._keyring.is_empty or self._keyring.admits(headers) or path_of(scope) in WITHOUT_KEY):
            access_refused.emit(reason="key")
            return HTTPException(
                HTTPStatus.UNAUTHORIZED,
                "A valid key is needed: send it as Authorization: Bearer KEY, or log in at /login.",
                {"WWW-Authenticate": 'Bearer realm="sparklio"'},
            )
        return None


def path_of(scope: Scope) -> str:
    """Return the path of a request inside of the application, without a slash at its end."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")).removesuffix("/")


def quoted(value: bytes) -> str:
    """Return what a header has, in quotes: printable ASCII, all else escaped, and no more than a name may have."""
    return ascii(value[:_MAX_QUOTED].decode("latin-1")) + ("..." if len(value) > _MAX_QUOTED else "")


def named_origin(headers: Mapping[bytes, bytes]) -> str:
    """Return the origin that a request names, for a message: escaped, and cut where it is long."""
    origin = headers.get(b"origin")
    return "" if origin is None else f" ({quoted(origin)})"


def is_navigation(scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
    """Return whether a browser asks for a page, which may be another one."""
    return scope["method"] in {"GET", "HEAD"} and b"text/html" in headers.get(b"accept", b"")


def protected(send: Send) -> Send:
    """Return a ``send`` that adds the security headers to a response."""

    async def send_protected(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": with_security_headers(message.get("headers", ()))}
        await send(message)

    return send_protected
