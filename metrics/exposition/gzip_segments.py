"""gzip of a page that is asked for again and again: what has not changed since the last time is not compressed anew.

A gzip member is one stream of deflate blocks (RFC 1951). A segment is compressed by itself and ends at a whole byte,
as zlib's ``Z_SYNC_FLUSH`` does it, so segments of several times make one stream that is like any other.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from threading import Lock

STEADY = 8
"""Times in a row that a part has to be the same before it is compressed well, to be kept."""

LONGEST = 32 * 1024
"""Bytes of a segment: the window of deflate, and what one part that changes costs the parts around it."""

SHORTEST = 3 * 1024
"""Bytes of steady parts that are worth a segment: each has a table of codes, and nothing before it to refer to."""

HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Of a gzip member without a name and a time: RFC 1952, section 2.3."""

END = b"\x03\x00"
"""An empty block that is the last one."""

Parts = tuple[bytes, ...]


def compress(body: bytes) -> bytes:
    """Return what is compressed once and not again: at level 1, since 9 takes ten times as long for a fifth less."""
    return gzip.compress(body, compresslevel=1, mtime=0)


class GzipSegments:
    """Compresses one page, each time from all of its parts; an unchanged part has to be the same object.

    Several threads may compress at once; one that comes while another does compresses all by itself.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._parts: Parts = ()
        self._ages: list[int] = []  # of each part: how many times in a row it has been the same
        self._segments: dict[int, tuple[Parts, bytes]] = {}  # by the identity of the first part, which is kept

    def compress(self, parts: Sequence[bytes]) -> bytes:
        """Return the parts as one gzip member."""
        if not self._lock.acquire(blocking=False):
            return compress(b"".join(parts))
        try:
            return self._compress(tuple(parts))
        finally:
            self._lock.release()

    def _compress(self, parts: Parts) -> bytes:
        self._count_ages(parts)
        stream, checksum, size = [HEADER], 0, 0
        segments: dict[int, tuple[Parts, bytes]] = {}
        for members, steady in self._divide(parts):
            text = b"".join(members)
            checksum, size = zlib.crc32(text, checksum), size + len(text)
            known = self._segments.get(id(members[0]))
            if known is None or known[0] != members:
                known = members, deflate(text, level=6 if steady else 3)
            stream.append(known[1])
            segments.setdefault(id(members[0]), known)
        self._segments = segments
        end = END + checksum.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little")
        return b"".join([*stream, end])

    def _count_ages(self, parts: Parts) -> None:
        """Count how often each part has been the same; where there are more or less of them, all begin as steady."""
        if len(parts) == len(self._parts):
            pairs = zip(parts, self._parts, self._ages, strict=True)
            self._ages = [age + 1 if part is last else 0 for part, last, age in pairs]
        else:
            self._ages = [STEADY] * len(parts)
        self._parts = parts

    def _divide(self, parts: Parts) -> Iterator[tuple[Parts, bool]]:
        """Yield the parts of each segment, and whether they are steady: what is kept, what can be, what is between."""
        loose, at = 0, 0  # where the parts begin that are in no segment yet
        while at < len(parts):
            end, steady = self._kept(parts, at), True
            if end == at and self._ages[at] >= STEADY:
                end, steady = self._steady(parts, at)
            if not steady or end == at:
                at = max(end, at + 1)
                continue
            if loose < at:
                yield parts[loose:at], False
            yield parts[at:end], True
            loose = at = end
        if loose < at:
            yield parts[loose:at], False

    def _kept(self, parts: Parts, at: int) -> int:
        """Return where the kept segment ends that begins here; here, if there is none."""
        known = self._segments.get(id(parts[at]))
        return at + len(known[0]) if known is not None and parts[at : at + len(known[0])] == known[0] else at

    def _steady(self, parts: Parts, at: int) -> tuple[int, bool]:
        """Return where the steady parts from here on end, at a kept segment at the latest, and whether they suffice."""
        end, size = at, 0
        while end < len(parts) and self._ages[end] >= STEADY and size < LONGEST:
            if end > at and self._kept(parts, end) > end:
                break
            size += len(parts[end])
            end += 1
        return end, size >= SHORTEST


def deflate(text: bytes, level: int) -> bytes:
    """Return a text as deflate blocks that end at a whole byte and refer to nothing before them."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)
