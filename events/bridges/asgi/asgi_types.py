"""The shapes of ASGI, version 3."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_SILENT = frozenset({"2.0", "2.1", "2.2", "2.3"})


def sends_may_fail(scope: Scope) -> bool:
    """Tell whether the server says by an `OSError` that its client is gone (ASGI 2.4), rather than by nothing."""
    return scope.get("asgi", {}).get("spec_version", "2.4") not in _SILENT


def content_length(headers: Any) -> int | None:
    """Read how long a body says it is.

    Headers that can be gone through only once belong to the server: they say nothing here.
    """
    if isinstance(headers, (list, tuple)):
        for name, value in headers:
            if name == b"content-length":
                return int(value) if value.isdigit() else None
    return None


def has(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bool:
    """Tell whether a header is there."""
    for name, _ in headers:  # noqa: SIM110  # any() with a generator takes twice the time, and each request asks
        if name == wanted:
            return True
    return False
