"""Counts the statements that a client sends to PostgreSQL, by the bytes of its connection.

The messages: https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from __future__ import annotations

from dataclasses import dataclass

_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104
_BOUNDARIES = (b"BEGIN", b"COMMIT", b"ROLLBACK")


@dataclass
class StatementCounts:
    """How many statements were sent: all, and those of them that begin or end a transaction."""

    all: int = 0
    boundaries: int = 0


class StatementCounter:
    """The counter of one connection.

    Args:
        counts: What is counted goes here.
    """

    def __init__(self, counts: StatementCounts) -> None:
        self._counts = counts
        self._buffer = bytearray()
        self._is_started = False
        self._prepared: dict[bytes, bytes] = {}
        self._portal = b""

    def feed(self, data: bytes) -> None:
        """Count what is in the next bytes of the client."""
        self._buffer += data
        while (message := self._take()) is not None:
            kind, body = message
            if kind == b"Q":
                self._count(body)
            elif kind == b"P":
                name, _, rest = body.partition(b"\0")
                self._prepared[name] = rest
            elif kind == b"B":
                self._portal = self._prepared.get(body.split(b"\0", 2)[1], b"")
            elif kind == b"E":
                self._count(self._portal)

    def _take(self) -> tuple[bytes, bytes] | None:
        """Return the next message whose bytes are all there, with its type, which the first ones do not have."""
        head = 1 if self._is_started else 0
        if len(self._buffer) < head + 4:
            return None
        length = int.from_bytes(self._buffer[head : head + 4])
        if len(self._buffer) < head + length:
            return None
        kind, body = bytes(self._buffer[:head]), bytes(self._buffer[head + 4 : head + length])
        del self._buffer[: head + length]
        if not self._is_started:
            self._is_started = int.from_bytes(body[:4]) not in {_SSL_REQUEST, _GSS_REQUEST}
        return kind, body

    def _count(self, statement: bytes) -> None:
        self._counts.all += 1
        self._counts.boundaries += statement.lstrip().upper().startswith(_BOUNDARIES)
