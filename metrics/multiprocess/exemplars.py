"""Exemplars in a worker's file: of each number that ever had one, its newest, in a record that is overwritten in place.

A record is as long as the longest that OpenMetrics allows, so a file grows with the numbers and not with the exemplars.
It begins with a checksum: what is read while it is written does not fit it, and neither does rubbish.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from time import sleep
from typing import Any
from zlib import crc32

from prometheus_client.samples import Exemplar

from metrics.fastpath.lock import LOCK

from .file_layout import RECORD_MARK, RECORD_SIZE

_SUM = len(b"%08x" % 0)
_BODY = RECORD_SIZE - len(RECORD_MARK) - _SUM
_PATIENCE = 10  # milliseconds that a reading waits for writers that were stopped in the middle of a record

_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class ExemplarStore:
    """The exemplars of a process's numbers: each number's newest, by its time.

    ``write`` puts a record in its place, or at the end of the file where it has none yet, and gives the place; none if
    there is no room. ``cells`` are the doubles of that file: numbers elsewhere are nobody else's, and have no exemplar.
    """

    def __init__(self, cells: Any, write: Callable[[bytes, int | None], int | None]) -> None:
        self._cells = cells
        self._write = write
        self._kept: dict[int, tuple[Exemplar, int | None]] = {}

    def keep(self, cells: Any, at: int, exemplar: Exemplar) -> None:
        """Keep an exemplar of the number at a place, unless there is a newer one."""
        written = encode_record(at, exemplar)
        if cells is not self._cells or written is None:
            return
        with LOCK:  # the garbage collector may close a span in here, and that may give an exemplar
            last, place = self._kept.get(at, (exemplar, None))
            if exemplar_time(exemplar) >= exemplar_time(last):
                self._kept[at] = exemplar, self._write(written, place)

    def of(self, cells: Any, at: int) -> Exemplar | None:
        """Give what this process keeps for the number at a place."""
        return self._kept.get(at, (None, None))[0] if cells is self._cells else None


class RecordReader:
    """The records in a file of a worker, this one or another."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._read: dict[int, tuple[int | None, tuple[int, Exemplar] | None]] = {}  # a record's hash and what it says

    def note(self, place: int) -> None:
        """Read the record at this place of the file from now on."""
        self._read[place] = None, None

    def read(self) -> tuple[list[tuple[int, Exemplar]], bool]:
        """Give each exemplar with the place of its number; and whether all of them were whole.

        One that is torn now and was not before is what it was.
        """
        found, whole, patience = [], True, _PATIENCE
        for place, (seen, last) in self._read.items():
            said, now = last, os.pread(self._file, RECORD_SIZE, place)
            if hash(now) != seen:
                while (said := decode_record(now)) is None and patience:
                    patience -= 1
                    sleep(0.001)
                    now = os.pread(self._file, RECORD_SIZE, place)
                whole = whole and said is not None
                said = said or last
                self._read[place] = hash(now), said
            if said is not None:
                found.append(said)
        return found, whole


def encode_record(at: int, exemplar: Exemplar) -> bytes | None:
    """Write the exemplar of the number at a place; one that is longer than OpenMetrics allows is none."""
    labels = {str(name): str(value) for name, value in exemplar.labels.items()}
    text = _text([at, labels, float(exemplar.value), exemplar_time(exemplar)])
    body = text.encode(errors="replace").ljust(_BODY - 1) + b"\n"  # half a character, a lone surrogate, is no text
    return RECORD_MARK + b"%08x" % crc32(body) + body if len(body) == _BODY else None


def decode_record(written: bytes) -> tuple[int, Exemplar] | None:
    """Read a record: the place of the number and its exemplar; none if it is not whole."""
    body = written[len(RECORD_MARK) + _SUM :]
    if written != RECORD_MARK + b"%08x" % crc32(body) + body:
        return None
    try:
        at, labels, value, when = json.loads(body)
        return int(at), Exemplar({str(name): str(text) for name, text in labels.items()}, float(value), float(when))
    except (ValueError, TypeError, AttributeError):
        return None


def exemplar_time(exemplar: Exemplar) -> float:
    """Give an exemplar's time, in seconds; without one it is older than all others."""
    return float(exemplar.timestamp or 0.0)
