"""gzip of a page that is asked for again and again: what has not changed since the last time is not compressed anew.

A gzip member is one stream of deflate blocks (RFC 1951). A segment is compressed by itself and ends at a whole byte,
as zlib's ``Z_SYNC_FLUSH`` does it, so segments of several times make one stream that is like any other.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Lock

from events.bus.after_fork import free_after_fork

SEGMENT = 24 * 1024
"""Bytes of a segment, within the window of deflate. A smaller one changes more seldom, and has less to refer to."""

MOVING_LEVEL, STEADY_LEVEL = 5, 6
"""How a segment is compressed when it has changed: at 5 it is a twelfth smaller than at 3; and later."""


@dataclass(frozen=True, slots=True)
class Division:
    """How a page is divided and compressed.

    Attributes:
        size: About how many bytes a segment has.
        level: The level at which a segment is compressed that has changed.
    """

    size: int = SEGMENT
    level: int = MOVING_LEVEL


MESSAGES = Division(128 * 1024, 7)
"""Of messages, which take a third of the bytes that text takes: a studio's page is one segment."""

STEADY = 8
"""Times in a row that a segment has to be the same before it is compressed better, which pays if it stays so."""

HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Of a gzip member without a name and a time: RFC 1952, section 2.3."""

END = b"\x03\x00"
"""An empty block that is the last one."""

Parts = tuple[bytes, ...]


def compress(body: bytes) -> bytes:
    """Return what is compressed once and not again: at level 1, since 9 takes ten times as long for a fifth less."""
    return gzip.compress(body, compresslevel=1, mtime=0)


class GzipSegments:
    """Compresses one page, each time from all of its parts, which are divided alike as long as there are as many.

    Several threads may compress at once; one that comes while another does compresses all by itself.

    Args:
        division: How; by default as text is.
    """

    def __init__(self, division: Division = Division()) -> None:
        self._division = division
        self._lock = free_after_fork(Lock())
        self._segments: list[_Segment] = []

    def compress(self, parts: Sequence[bytes]) -> bytes:
        """Return the parts as one gzip member."""
        body = b"".join(parts)
        if not self._lock.acquire(blocking=False):
            return compress(body)
        try:
            segments = self._segments = list(self._renewed(tuple(parts)))  # at once: a fork finds the old or the new
        finally:
            self._lock.release()
        end = END + zlib.crc32(body).to_bytes(4, "little") + (len(body) & 0xFFFFFFFF).to_bytes(4, "little")
        return b"".join([HEADER, *(segment.deflated for segment in segments), end])

    def _renewed(self, parts: Parts) -> Iterator[_Segment]:
        """Yield the segments of the page as it is now."""
        known = self._segments
        if sum(len(segment.parts) for segment in known) == len(parts) and not any(each.is_outgrown for each in known):
            at = 0
            for segment in known:
                yield segment.renewed(parts[at : at + len(segment.parts)])
                at += len(segment.parts)
        else:
            for some in divided(parts, self._division.size):
                yield _Segment.of(some, self._division)


@dataclass(frozen=True, slots=True)
class _Segment:
    """A segment as it was the last time, and how many times it had been the same before."""

    parts: Parts
    deflated: bytes
    division: Division
    is_outgrown: bool
    age: int = 0

    @classmethod
    def of(cls, parts: Parts, division: Division) -> _Segment:
        """Return the segment of these parts."""
        text = b"".join(parts)
        is_outgrown = len(text) > 2 * division.size and len(parts) > 1
        return cls(parts, deflate(text, division.level), division, is_outgrown)

    def renewed(self, parts: Parts) -> _Segment:
        """Return the segment of these parts, which is this one where they are the same."""
        if parts != self.parts:
            return _Segment.of(parts, self.division)
        if self.age == STEADY:
            return self
        better = self.age + 1 == STEADY and self.division.level < STEADY_LEVEL
        deflated = deflate(b"".join(parts), STEADY_LEVEL) if better else self.deflated
        return replace(self, deflated=deflated, age=self.age + 1)


def divided(parts: Parts, size: int) -> Iterator[Parts]:
    """Yield the parts of each segment: as many as are no longer together than one should be, or a single one."""
    start, found = 0, 0
    for end, part in enumerate(parts):
        if found and found + len(part) > size:
            yield parts[start:end]
            start, found = end, 0
        found += len(part)
    if start < len(parts):
        yield parts[start:]


def deflate(text: bytes, level: int) -> bytes:
    """Return a text as deflate blocks that end at a whole byte and refer to nothing before them."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)
