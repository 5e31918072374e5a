"""Exemplars in a worker's file: the newest of each value that ever had one, in a record that is overwritten in place.

A record is as long as the longest exemplar that OpenMetrics allows, so a file grows with the number of values and not
with the number of exemplars. It begins with a checksum, which a record read while it is written does not match, nor
does rubbish.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from time import sleep
from typing import Any
from zlib import crc32

from prometheus_client.samples import Exemplar

from ..fastpath.lock import LOCK
from .file_layout import RECORD_MARK, RECORD_SIZE

_CHECKSUM_SIZE = len(b"%08x" % 0)
_BODY_SIZE = RECORD_SIZE - len(RECORD_MARK) - _CHECKSUM_SIZE
_MAX_RETRIES = 10  # a millisecond apart: for writers that were interrupted in the middle of a record

_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class ExemplarStore:
    """The exemplars of this process's values: of each value the newest, by its timestamp.

    Args:
        cells: The cells of the process's file. A value in other cells is read by nobody else and has no exemplar.
        write: Writes a record at an offset of the file, or at its end if that is None, and returns the offset; None if
            there is no space.
    """

    def __init__(self, cells: Any, write: Callable[[bytes, int | None], int | None]) -> None:
        self._cells = cells
        self._write = write
        self._newest: dict[int, tuple[Exemplar, int | None]] = {}  # by cell: the exemplar, and its record's offset

    def put(self, cells: Any, cell: int, exemplar: Exemplar) -> None:
        """Store and write the exemplar of the value in a cell, unless there is a newer one."""
        record = encode_record(cell, exemplar)
        if cells is not self._cells or record is None:
            return
        with LOCK:  # reentrant: the garbage collector may close a span in here, and that may store an exemplar
            last, offset = self._newest.get(cell, (exemplar, None))
            if exemplar_time(exemplar) >= exemplar_time(last):
                self._newest[cell] = exemplar, self._write(record, offset)

    def get(self, cells: Any, cell: int) -> Exemplar | None:
        """Return this process's exemplar of the value in a cell, if any."""
        return self._newest.get(cell, (None, None))[0] if cells is self._cells else None


class PrivateExemplars:
    """The exemplars of a process that counts alone: of each value the newest, by its timestamp."""

    def __init__(self) -> None:
        self._newest: dict[tuple[int, int], Exemplar] = {}

    def put(self, cells: Any, cell: int, exemplar: Exemplar) -> None:
        """Store the exemplar of the value in a cell, unless there is a newer one, or it is too long to be shown."""
        if encode_record(cell, exemplar) is None:
            return
        with LOCK:  # the same
            last = self._newest.get((id(cells), cell), exemplar)
            if exemplar_time(exemplar) >= exemplar_time(last):
                self._newest[id(cells), cell] = exemplar

    def get(self, cells: Any, cell: int) -> Exemplar | None:
        """Return the exemplar of the value in a cell, if any."""
        return self._newest.get((id(cells), cell))


@dataclass(slots=True)
class _Record:
    """A record as it was read last: its bytes' hash, and the cell and exemplar in it, if it was ever intact."""

    seen: int | None = None
    content: tuple[int, Exemplar] | None = None


class RecordReader:
    """Reads the records in a file, this worker's or another's.

    Args:
        descriptor: The open file.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._records: dict[int, _Record] = {}  # by offset

    def add(self, offset: int) -> None:
        """Include the record at this offset of the file from now on."""
        self._records[offset] = _Record()

    def read(self) -> tuple[list[tuple[int, Exemplar]], bool]:
        """Return each exemplar with its cell, and whether all records were intact.

        A record that is torn now and was intact before counts as what it was then.
        """
        found, intact, retries = [], True, _MAX_RETRIES
        for offset, record in self._records.items():
            data = os.pread(self._descriptor, RECORD_SIZE, offset)
            if hash(data) != record.seen:
                while (content := decode_record(data)) is None and retries:
                    retries -= 1
                    sleep(0.001)
                    data = os.pread(self._descriptor, RECORD_SIZE, offset)
                intact = intact and content is not None
                record.seen, record.content = hash(data), content or record.content
            if record.content is not None:
                found.append(record.content)
        return found, intact


def encode_record(cell: int, exemplar: Exemplar) -> bytes | None:
    """Return the record of the exemplar of the value in a cell; None if it is longer than OpenMetrics allows."""
    labels = {str(name): str(value) for name, value in exemplar.labels.items()}
    text = _to_json([cell, labels, float(exemplar.value), exemplar_time(exemplar)])
    body = text.encode(errors="replace").ljust(_BODY_SIZE - 1) + b"\n"  # a lone surrogate cannot be encoded
    return RECORD_MARK + b"%08x" % crc32(body) + body if len(body) == _BODY_SIZE else None


def decode_record(record: bytes) -> tuple[int, Exemplar] | None:
    """Return a record's cell and exemplar; None if the record is torn."""
    body = record[len(RECORD_MARK) + _CHECKSUM_SIZE :]
    if record != RECORD_MARK + b"%08x" % crc32(body) + body:
        return None
    try:
        cell, labels, value, timestamp = json.loads(body)
        labels = {str(name): str(text) for name, text in labels.items()}
        return int(cell), Exemplar(labels, float(value), float(timestamp))
    except (ValueError, TypeError, AttributeError):
        return None


def exemplar_time(exemplar: Exemplar) -> float:
    """Return an exemplar's timestamp in seconds; 0, older than all others, if it has none."""
    return float(exemplar.timestamp or 0.0)
