"""The types of ASGI 3, and readers of its scopes and headers; the ASGI bridge and the metrics endpoint share them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

SPEC_BEFORE_2_4 = frozenset({"2.0", "2.1", "2.2", "2.3"})
"""The versions of ASGI whose `send` does nothing once the client is gone; since 2.4 it raises `OSError`."""


def paths_of(scope: Scope) -> Iterator[str]:
    """Yield the paths that a request may be known by: the whole one, and what of it is behind a proxy or a mount.

    A proxy's prefix and those of mounts are in ``root_path``, and the path begins with it, unless the proxy took its
    own off. What was there before any mount is Starlette's ``app_root_path``.
    """
    path: str = scope["path"]
    yield path
    inside = scope.get("root_path") or ""
    outside = scope.get("app_root_path") or ""
    for prefix in (inside, outside, inside.removeprefix(outside)):
        root = prefix.rstrip("/")
        if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
            yield path[len(root) :]


def content_length(headers: Any) -> int | None:
    """Return the ``Content-Length`` in bytes, None where it is absent or no number.

    Headers in an iterable that can be consumed only once are left to the server, and count as absent.
    """
    if isinstance(headers, (list, tuple)):
        for name, value in headers:
            if name == b"content-length":
                return int(value) if value.isdigit() else None
    return None


def has_header(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bool:
    """Return whether a header is present; ``wanted`` is its name in lower case."""
    for name, _ in headers:  # noqa: SIM110  # any() with a generator takes twice the time, and it runs for each request
        if name == wanted:
            return True
    return False


def header_text(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> str:
    """Return a header's value as text, "" where it is absent; ``wanted`` is its name in lower case.

    A header that was sent several times is joined by commas (RFC 9110, section 5.3).
    """
    return ", ".join(value.decode("latin-1") for name, value in headers if name.lower() == wanted)
