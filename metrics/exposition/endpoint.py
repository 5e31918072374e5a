"""`Endpoint`: the ASGI application that serves a registry to scrapers."""

from __future__ import annotations

import logging
import os
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterable
from hmac import compare_digest
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from prometheus_client import CollectorRegistry

from events.bridges.asgi_types import Receive, Scope, Send, header_text, paths_of
from events.bridges.async_library import running_trio
from events.bus.failures import error_location

from ..text_format.formats import Format
from .content_encoding import choose_encoding, compressors
from .content_type import choose_format
from .mounting import answer_own_path
from .scrape import ScrapeResponse, render_response

if TYPE_CHECKING:
    from concurrent.futures import Future

log = logging.getLogger("metrics")

CHUNK_SIZE = 256 * 1024  # bytes sent at once: a server copies them on the event loop
MAX_QUERY_FIELDS = 10_000
"""Fields of a query string; one with more selects nothing, so that everything is rendered."""

_PLAIN_TEXT = {"Content-Type": "text/plain; charset=utf-8"}


class Endpoint:
    """An ASGI application that answers scrapes of a registry, on asyncio and on trio.

    Any ASGI server runs it, any framework takes it as a mount or a route::

        app.mount("/metrics", Endpoint(registry))  # answers /metrics and /metrics/, without a redirect
        app.add_route("/metrics", Endpoint(registry))

    The registry is rendered in a thread of the endpoint's own; concurrent scrapes for the same format, encoding and
    names share one rendering. GET and HEAD are answered.

    Args:
        registry: The registry to render.
        path: The only path that is answered, with or without a slash at its end, and behind the ``root_path`` of a
            proxy or a mount too; every path if not given.
        token: If given, ``Authorization: Bearer <token>`` is accepted. Whitespace around it is not part of it, as in
            Prometheus's ``credentials_file``: a file ends in a line break.
        password: If given, Basic authorization with this password and any user name is accepted; whitespace around it
            is not part of it either. With both a token and a password, either suffices; with None for both, nothing is
            required.
        compression: Whether responses are compressed as the scraper accepts it. False where a proxy compresses, or
            where scrapes are local and CPU time is dear.

    Raises:
        TypeError: ``registry`` is no `CollectorRegistry`, or a token or a password is no text.
        ValueError: a token or a password is empty, which is no way to leave the metrics open, or of several lines.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        path: str | None = None,
        token: str | None = None,
        password: str | None = None,
        compression: bool = True,
    ) -> None:
        if not isinstance(registry, CollectorRegistry):
            raise TypeError(f"Endpoint takes the CollectorRegistry that was given to subscribe(), not {registry!r}")
        self._registry = registry
        self._encodings = tuple(compressors()) if compression else ()
        self._path = None if path is None else path.rstrip("/")
        self._secrets = [
            (scheme, encode_secret(argument, secret))
            for scheme, argument, secret in (("bearer", "token", token), ("basic", "password", password))
            if secret is not None
        ]
        self._start()
        answer_own_path(Endpoint)

    def _start(self) -> None:
        """Create the thread that renders, and what it has under way: no process that is forked has either."""
        from concurrent.futures import ThreadPoolExecutor  # for those who serve by an endpoint

        self._process_id = os.getpid()
        self._pending: dict[object, Future[ScrapeResponse]] = {}
        self._lock = Lock()
        self._thread = ThreadPoolExecutor(1, "metrics")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http":
            await self._respond(scope, send)
        elif scope["type"] == "lifespan":
            for phase in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{phase}.complete"})
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})

    async def _respond(self, scope: Scope, send: Send) -> None:
        with_body = scope["method"] != "HEAD"
        if self._path is not None and all(path.rstrip("/") != self._path for path in paths_of(scope)):
            await send_response(
                send, 404, _PLAIN_TEXT, f"Not found; the metrics are at {self._path}.\n".encode(), with_body
            )
        elif not self._is_authorized(scope):
            challenge = ", ".join(f'{scheme.title()} realm="metrics"' for scheme, _ in self._secrets)
            await send_response(
                send, 401, {**_PLAIN_TEXT, "WWW-Authenticate": challenge}, _how_to_ask(self._secrets), with_body
            )
        elif scope["method"] not in ("GET", "HEAD"):
            await send_response(send, 405, {**_PLAIN_TEXT, "Allow": "GET, HEAD"}, b"Method not allowed; GET it.\n")
        else:
            try:
                response = await self._scrape(scope)
            except Exception as error:  # a bug of ours fails the scrape, never the application around it
                log.warning("/metrics failed with %s at %s", type(error).__name__, error_location(error))
                await send_response(
                    send, 500, _PLAIN_TEXT, b"The metrics cannot be rendered; see the log.\n", with_body
                )
            else:
                await send_response(send, 200, response.headers, response.body, with_body)

    def _is_authorized(self, scope: Scope) -> bool:
        if not self._secrets:
            return True
        scheme, _, credentials = (
            header_text(scope["headers"], b"authorization").encode("latin-1").strip().partition(b" ")
        )
        credentials = credentials.strip()
        if scheme.lower() == b"basic":
            try:
                credentials = b64decode(credentials, validate=True).partition(b":")[2].strip()
            except NotBase64:
                return False
        # Every secret is compared: the time that it takes must not reveal which of them are set.
        matches = [
            compare_digest(credentials, secret) & (scheme.lower() == expected_scheme.encode())
            for expected_scheme, secret in self._secrets
        ]
        return any(matches)

    async def _scrape(self, scope: Scope) -> ScrapeResponse:
        query = scope.get("query_string", b"")
        text_format = requested_format(header_text(scope["headers"], b"accept"), query)
        encoding = choose_encoding(header_text(scope["headers"], b"accept-encoding"), self._encodings)
        names = selected_names(query)
        key = (text_format, encoding, names)
        if self._process_id != os.getpid():
            self._start()
        with self._lock:
            future = self._pending.get(key)
            if future is None:
                future = self._thread.submit(render_response, self._registry, text_format, encoding, names)
                self._pending[key] = future
                future.add_done_callback(lambda _: self._pending.pop(key, None))
        return await wait_for(future)


def encode_secret(argument: str, secret: str) -> bytes:
    """Return a token or a password as scrapers send it, without whitespace around it.

    Raises:
        TypeError: it is no text.
        ValueError: it is empty, or of several lines.
    """
    if not isinstance(secret, str):
        raise TypeError(
            f"{argument} is a text, not {type(secret).__name__}: decode it, as in {argument}=value.decode()"
        )
    encoded = secret.encode().strip()
    if not encoded:
        raise ValueError(
            f"{argument} is empty, which would leave the metrics open to anyone: give one, or {argument}=None to leave"
            f" them open, as in {argument}=os.environ.get('METRICS_{argument.upper()}') or None"
        )
    if b"\n" in encoded or b"\r" in encoded:
        raise ValueError(f"{argument} is of several lines: no scraper sends that, give one of them")
    return encoded


async def wait_for(future: Future[ScrapeResponse]) -> ScrapeResponse:
    """Return a future's result; a client that disconnects does not cancel the rendering that others wait for."""
    trio = running_trio()
    if trio is not None:
        response: ScrapeResponse = await trio.to_thread.run_sync(future.result)
        return response
    from asyncio import shield, wrap_future  # whoever gets here has imported it

    return await shield(wrap_future(future))


def selected_names(query: bytes) -> frozenset[str] | None:
    """Return the values of the ``name[]`` parameters of a query string, None if there are none."""
    return frozenset(value for name, value in query_fields(query) if name == "name[]") or None


def requested_format(accept: str, query: bytes) -> Format:
    """Return the format that a scraper asks for, with ``created=true`` and ``classic=false`` of the query string."""
    fields = query_fields(query)
    return choose_format(
        accept, with_created=("created", "true") in fields, with_classic=("classic", "false") not in fields
    )


def query_fields(query: bytes) -> list[tuple[str, str]]:
    """Return the names and values of a query string; none of one that has too many to be a scraper's."""
    try:
        return parse_qsl(query.decode("latin-1"), errors="replace", max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:
        return []


async def send_response(send: Send, status: int, headers: dict[str, str], body: bytes, with_body: bool = True) -> None:
    """Send a response in chunks, so that a large one does not block the event loop; or its head alone."""
    complete = {**headers, "Content-Length": str(len(body))}
    raw = [(name.lower().encode(), value.encode()) for name, value in complete.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    for end in range(CHUNK_SIZE, len(body), CHUNK_SIZE) if with_body else ():
        await send({"type": "http.response.body", "body": body[end - CHUNK_SIZE : end], "more_body": True})
        await let_others_run()
    last = body[(len(body) - 1) // CHUNK_SIZE * CHUNK_SIZE :] if with_body and body else b""
    await send({"type": "http.response.body", "body": last, "more_body": False})


async def let_others_run() -> None:
    """Return once other tasks of the event loop had a turn."""
    trio = running_trio()
    if trio is not None:
        await trio.lowlevel.checkpoint()
        return
    from asyncio import sleep  # whoever gets here has imported it

    await sleep(0)


def _how_to_ask(secrets: Iterable[tuple[str, bytes]]) -> bytes:
    """Return the text of a 401: how the server wants to be asked."""
    forms = {"bearer": "with the token as Authorization: Bearer TOKEN", "basic": "by HTTP Basic with the password"}
    return f"Unauthorized: ask {', or '.join(forms[scheme] for scheme, _ in secrets)}.\n".encode()
