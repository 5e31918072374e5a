"""What a scraper gets over HTTP: `Endpoint`, an ASGI application, and `scrape`, for any other way of answering."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hmac import compare_digest
from threading import Lock
from time import perf_counter
from typing import Any, cast
from urllib.parse import parse_qsl

from prometheus_client import CollectorRegistry

from events import metrics_rendered
from events.bridges.asgi_types import Receive, Scope, Send, header_text
from events.bus.failures import error_location

from ..text_format.formats import Format
from .content_encoding import compressors
from .content_type import choose_encoding, choose_format
from .render import GilYielder, render_with_count

log = logging.getLogger("metrics")

CHUNK_SIZE = 256 * 1024  # bytes sent at once: a server copies them on the event loop
_PLAIN = {"Content-Type": "text/plain; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class ScrapeResponse:
    """A rendered registry and the HTTP headers that describe it."""

    body: bytes
    headers: dict[str, str]


def scrape(
    registry: CollectorRegistry,
    accept: str = "",
    accept_encoding: str = "",
    names: Collection[str] | None = None,
) -> ScrapeResponse:
    """Render a registry for a request with these ``Accept`` and ``Accept-Encoding`` headers.

    Call it in a thread, not on an event loop. A header that can't be read counts as absent: a scraper always gets its
    numbers. ``names`` keeps these samples or families alone.
    """
    encoding = choose_encoding(accept_encoding, tuple(compressors()))
    return _scrape(registry, choose_format(accept), encoding, names)


def _scrape(registry: CollectorRegistry, form: Format, encoding: str, names: Collection[str] | None) -> ScrapeResponse:
    began = perf_counter()
    rendered = render_with_count(registry, form, names, GilYielder())
    body = rendered.body if encoding == "identity" else compressors()[encoding](rendered.body)
    metrics_rendered.emit(
        format="openmetrics" if form.is_openmetrics else "text",
        encoding=cast(Any, encoding),
        duration=perf_counter() - began,
        size=len(body),
        series=rendered.sample_count if names is None else None,
    )
    headers = {"Content-Type": form.content_type, "Vary": "Accept, Accept-Encoding", "Cache-Control": "no-store"}
    if encoding != "identity":
        headers["Content-Encoding"] = encoding
    return ScrapeResponse(body, headers)


class Endpoint:
    """Answers scrapes of a registry: any ASGI server runs it, any framework mounts it, on an asyncio event loop.

    >>> app.router.routes.append(Route("/metrics", Endpoint(registry)))  # doctest: +SKIP

    The registry is written in a thread of its own, once for all who ask for the same while it is being written. GET and
    HEAD are answered, whatever the path, unless ``path`` names the only one. With a ``token`` or a ``password`` one of
    the two is asked for: ``Authorization: Bearer <token>``, or Basic with any user name.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        path: str | None = None,
        token: str | None = None,
        password: str | None = None,
    ) -> None:
        self._registry = registry
        self._path = None if path is None else path.rstrip("/")
        self._secrets = [(scheme, s.encode()) for scheme, s in (("bearer", token), ("basic", password)) if s]
        self._under_way: dict[object, Future[ScrapeResponse]] = {}
        self._lock = Lock()
        self._thread = ThreadPoolExecutor(1, "metrics")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http":
            await self._answer(scope, send)
        elif scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, send: Send) -> None:
        whole = scope["method"] != "HEAD"
        if self._path is not None and scope["path"].rstrip("/") != self._path:
            await send_response(send, 404, _PLAIN, f"Not found; the metrics are at {self._path}.\n".encode(), whole)
        elif not self._may_read(scope):
            challenge = ", ".join(f'{scheme.title()} realm="metrics"' for scheme, _ in self._secrets)
            await send_response(send, 401, {**_PLAIN, "WWW-Authenticate": challenge}, b"Unauthorized.\n", whole)
        elif scope["method"] not in ("GET", "HEAD"):
            await send_response(send, 405, {**_PLAIN, "Allow": "GET, HEAD"}, b"Method not allowed; GET it.\n")
        else:
            try:
                scraped = await self._scraped(scope)
            except Exception as error:  # a fault of ours costs the scrape, never the application around it
                log.warning("/metrics failed with %s at %s", type(error).__name__, error_location(error))
                await send_response(send, 500, _PLAIN, b"The metrics cannot be written; see the log.\n", whole)
            else:
                await send_response(send, 200, scraped.headers, scraped.body, whole)

    def _may_read(self, scope: Scope) -> bool:
        if not self._secrets:
            return True
        scheme, _, given = header_text(scope["headers"], b"authorization").encode("latin-1").strip().partition(b" ")
        given = given.strip()
        if scheme.lower() == b"basic":
            try:
                given = b64decode(given, validate=True).partition(b":")[2]
            except NotBase64:
                return False
        # Every secret is compared, so that the time says nothing about which there are.
        right = [compare_digest(given, secret) & (scheme.lower() == way.encode()) for way, secret in self._secrets]
        return any(right)

    async def _scraped(self, scope: Scope) -> ScrapeResponse:
        form = choose_format(header_text(scope["headers"], b"accept"))
        encoding = choose_encoding(header_text(scope["headers"], b"accept-encoding"), tuple(compressors()))
        names = selected_names(scope.get("query_string", b""))
        asked = (form, encoding, names)
        with self._lock:
            future = self._under_way.get(asked)
            if future is None:
                future = self._thread.submit(_scrape, self._registry, form, encoding, names)
                self._under_way[asked] = future
                future.add_done_callback(lambda _: self._under_way.pop(asked, None))
        # Shielded: who goes away must not take the answer from those who wait for the same.
        return await asyncio.shield(asyncio.wrap_future(future))


def selected_names(query: bytes) -> frozenset[str] | None:
    """Read the ``name[]`` parameters, None where there are none."""
    try:
        pairs = parse_qsl(query.decode("latin-1"), errors="replace", max_num_fields=10_000)
    except ValueError:
        return None
    return frozenset(value for name, value in pairs if name == "name[]") or None


async def send_response(send: Send, status: int, headers: dict[str, str], body: bytes, whole: bool = True) -> None:
    """Send an answer, piece by piece so that a large one does not hold the event loop; without ``whole`` its head."""
    described = {**headers, "Content-Length": str(len(body))}
    raw = [(name.lower().encode(), value.encode()) for name, value in described.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    pieces = range(CHUNK_SIZE, len(body), CHUNK_SIZE) if whole else ()
    for end in pieces:
        await send({"type": "http.response.body", "body": body[end - CHUNK_SIZE : end], "more_body": True})
        await asyncio.sleep(0)
    last = body[(len(body) - 1) // CHUNK_SIZE * CHUNK_SIZE :] if whole and body else b""
    await send({"type": "http.response.body", "body": last, "more_body": False})
