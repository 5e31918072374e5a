"""Recordings: a file of records, one JSON object a line, that a studio's life is kept in and played again from.

The first line is a header, which says in which form the file is written. A gap stands where events are missing, as a
connection broke for too long. Lines of other programs that are records too, such as those of an event log, are read as
well: what a record has beside its own is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from time import time
from typing import IO, Any

from blinker import Namespace, default_namespace

from .records import SCHEMA_VERSION, InvalidRecord, event_of
from .signal import Signal

RECORDING_VERSION = 1
"""The version of the form of a recording; that of a record is `SCHEMA_VERSION`."""

MAX_LINE = 1 << 20
"""How many bytes a line may have; a record has some hundred."""


MAX_TIME = 1e11
"""A Unix time in seconds that no clock says; one in milliseconds is past it."""


class UnknownRecording(ValueError):
    """A file is no recording, or one of a form that this version cannot read; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEvent:
    """An event of a recording, and the Unix time at which it was emitted."""

    line: int
    signal: Signal[..., Any]
    event: Any
    time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingGap:
    """Events are missing here: so many, or None where nobody knows."""

    line: int
    missed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEvent:
    """A record whose signal is not declared in this process."""

    line: int
    signal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedLine:
    """A line that cannot be read, and why."""

    line: int
    reason: str


RecordingLine = RecordedEvent | RecordingGap | UnknownEvent | DamagedLine


def header(source: str) -> dict[str, Any]:
    """Return the first line of a recording, which begins now.

    Args:
        source: Where the events come from, without any secret.
    """
    return {"recording": RECORDING_VERSION, "schema": SCHEMA_VERSION, "time": time(), "source": source}


def gap(missed: int | None) -> dict[str, Any]:
    """Return the line that says that events are missing: so many, or None where nobody knows."""
    return {"gap": {"missed": missed}, "time": time()}


def read_recording(file: IO[bytes], namespace: Namespace = default_namespace) -> Iterator[RecordingLine]:
    """Yield the lines of a recording in their order, but for headers and empty lines.

    >>> from io import BytesIO
    >>> line = b'{"schema":1,"signal":"tool_called","time":5,"fields":{"tool_name":"search","status":"succ'
    >>> for line in read_recording(BytesIO(line)):
    ...     print(line.line, line.reason)
    1 is cut off, or no JSON

    Raises:
        UnknownRecording: its form is another one than this version reads.
    """
    for number, line in enumerate(_lines(file), 1):
        if line is None:
            yield DamagedLine(line=number, reason=f"is longer than {MAX_LINE:,} bytes")
        elif line.strip():
            parsed = _parse(number, line, namespace)
            if parsed is not None:
                yield parsed


def _lines(file: IO[bytes]) -> Iterator[bytes | None]:
    """Yield each line, or None for one that is too long, which is never in memory as a whole."""
    while line := file.readline(MAX_LINE + 1):
        if len(line) <= MAX_LINE or line.endswith(b"\n"):
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE)
        yield None


def _parse(number: int, line: bytes, namespace: Namespace) -> RecordingLine | None:
    """Return what a line has; None for a header."""
    try:
        found = json.loads(line.decode("utf-8-sig"), parse_constant=lambda _: None)
    except UnicodeDecodeError:
        return DamagedLine(line=number, reason="is not UTF-8")
    except (ValueError, RecursionError):
        return DamagedLine(line=number, reason="is cut off, or no JSON")
    if not isinstance(found, dict):
        return DamagedLine(line=number, reason="is no object")
    if "recording" in found:
        if found["recording"] != RECORDING_VERSION:
            raise UnknownRecording(
                f"line {number} says that it is a recording of the form {found['recording']!r:.20}:"
                f" this version reads {RECORDING_VERSION}"
            )
        return None
    if "gap" in found:
        return RecordingGap(line=number, missed=_missed(found["gap"]))
    return _record(number, found, namespace)


def _missed(found: Any) -> int | None:
    missed = found.get("missed") if isinstance(found, Mapping) else None
    return missed if type(missed) is int else None


def _record(number: int, found: Mapping[str, Any], namespace: Namespace) -> RecordingLine:
    name, moment = found.get("signal"), found.get("time")
    if not isinstance(name, str):
        return DamagedLine(line=number, reason="has no signal")
    if isinstance(moment, bool) or not isinstance(moment, int | float) or not 0 <= moment < MAX_TIME:
        return DamagedLine(line=number, reason="has no time")
    if found.get("schema") == SCHEMA_VERSION and not isinstance(namespace.get(name), Signal):
        return UnknownEvent(line=number, signal=name[:200])
    try:
        signal, event = event_of(found, namespace)
    except InvalidRecord as error:
        return DamagedLine(line=number, reason=f"is no event: {error}")
    return RecordedEvent(line=number, signal=signal, event=event, time=float(moment))
