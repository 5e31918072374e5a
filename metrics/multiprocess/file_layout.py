"""The layout of a worker's file: a header, an array of doubles (cells), and text that says what each cell holds.

The cells stand before the text, so that their offsets never change; the text grows at the end. It holds a line for each
family, before its first series, and a line for each series. The family's line says when the series after it began, and
stands there again before one that began in another second. A series' line is written before its cells are first
updated, so a line that a killed process left unfinished describes nothing. Between the lines stand fixed-size records
of exemplars, which are overwritten in place.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from hashlib import blake2s
from pathlib import Path
from time import time_ns
from typing import Any, Literal, get_args

from events.pipeline import WorkerFileFault

from ..validation import MultiprocessMode

MAGIC = b"cells 3\n"
HEADER_SIZE = 4096  # bytes before the cells: one page of memory, so that the array begins on a page boundary
CELL_SIZE = 8  # bytes of a double
MAX_CELLS = 2**17  # three times the series budget; what is not used takes no space on the disk
RECORD_MARK = b"#"  # the first byte of a record
RECORD_SIZE = 1024  # bytes: 128 characters, of up to six bytes in JSON; a power of two, so that none crosses a page
SUFFIX = ".worker"
ARCHIVE = "gone" + SUFFIX
_ARCHIVE_NAME = re.compile(r"gone(-.*)?" + re.escape(SUFFIX))

_MAX_TIME = 253_402_300_800  # the year 10,000, which no time of a message may reach

_PADDING = re.compile(b" *")  # before a record, up to its aligned offset

Kind = Literal["counter", "gauge", "histogram"]
AggregationMode = Literal["total"] | MultiprocessMode
"""How a value is aggregated over processes: ``total`` is the sum of all there ever were, as for counters."""

KINDS = get_args(Kind)
AGGREGATION_MODES = ("total", *get_args(MultiprocessMode))

ARCHIVED_MODES: frozenset[AggregationMode] = frozenset({"total", "max", "min"})
"""The modes in which the values of dead workers still count."""


class CorruptFile(Exception):
    """A worker's file, or a line in it, cannot be read."""

    def __init__(self, fault: WorkerFileFault) -> None:
        super().__init__(fault)
        self.fault = fault


@dataclass(frozen=True)
class FamilySchema:
    """The properties that all series of a family share; files keep families apart that differ in one of them.

    Two that differ in nothing but the bounds of a histogram are shown as one.

    The fields' names and order are part of the file format: the digest is computed from them.

    Raises:
        ValueError: the kind or the mode is none of those that there are.
    """

    family: str
    kind: Kind
    mode: AggregationMode
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        # Before it is written: how many cells an unknown mode takes is unknown, so no reader could go on behind it.
        if self.kind not in KINDS:
            raise ValueError(f"{self.family}: the kind is one of {', '.join(KINDS)}, got {self.kind!r}")
        if self.mode not in AGGREGATION_MODES:
            raise ValueError(f"{self.family}: the mode is one of {', '.join(AGGREGATION_MODES)}, got {self.mode!r}")

    @property
    def value_count(self) -> int:
        """How many values a series has: one, or a histogram's sum and its buckets."""
        return len(self.bounds) + 2 if self.kind == "histogram" else 1

    @property
    def cell_count(self) -> int:
        """How many cells a series takes: one a value, and one for the time of a most recent value."""
        return self.value_count + (self.mode == "livemostrecent")

    @cached_property
    def without_bounds(self) -> FamilySchema:
        """The schema without its bounds: what two versions of a histogram have in common whose bounds differ."""
        return replace(self, bounds=())

    @cached_property
    def digest(self) -> str:
        """A short hash of the schema, the family's name included; it stands for the family in the lines of series."""
        return blake2s(json.dumps(asdict(self)).encode(), digest_size=6).hexdigest()

    @cached_property
    def line(self) -> bytes:
        """The family's line, before series that began at a time that is not known."""
        return json.dumps(asdict(self)).encode() + b"\n"

    def line_since(self, created: int) -> bytes:
        """Return the family's line before series that began at this Unix time; readers of before leave the time out."""
        return json.dumps({**asdict(self), "created": created}).encode() + b"\n" if created else self.line

    def series_line(self, label_values: tuple[str, ...]) -> bytes:
        """Return the line of a series; it is the same in every file."""
        return json.dumps([self.digest, *label_values]).encode() + b"\n"


def parse_family_line(line: bytes) -> FamilySchema:
    """Return the schema in a family's line.

    Raises:
        CorruptFile: the line is not one of a family.
    """
    try:
        parsed = json.loads(line)
        bounds = tuple(map(float, parsed["bounds"]))
        labels = tuple(map(str, parsed["labels"]))
        return FamilySchema(str(parsed["family"]), parsed["kind"], parsed["mode"], labels, bounds)
    except (ValueError, KeyError, TypeError):
        raise CorruptFile("torn") from None


def parse_created(line: bytes) -> int:
    """Return the Unix time in a family's line at which the series after it began; 0 where it has none.

    Raises:
        CorruptFile: it is no time.
    """
    created = json.loads(line).get("created", 0)
    if not isinstance(created, int) or not 0 <= created < _MAX_TIME:
        raise CorruptFile("torn")
    return created


@lru_cache(MAX_CELLS)  # the workers' files have mostly the same lines
def parse_label_values(line: bytes) -> tuple[str, ...]:
    """Return the label values in a series' line.

    Raises:
        CorruptFile: the line is not one of a series.
    """
    try:
        _, *values = json.loads(line)
    except ValueError:
        raise CorruptFile("torn") from None
    if not all(isinstance(value, str) for value in values):
        raise CorruptFile("torn")
    return tuple(values)


def process_identity() -> str:
    """Return a name that no other process ever has: the process id, which is reused, and the time of its start."""
    try:
        started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]  # in ticks since the boot
    except (OSError, IndexError):
        started = str(time_ns())
    return f"{os.getpid()}-{started}"


_APPLICATION = re.compile(r"[\w:.-]{1,100}", re.ASCII)


def archive_name(application: str) -> str:
    """Return the name of the archive of an application's workers."""
    return f"gone-{application}{SUFFIX}" if application else ARCHIVE


def is_archive(path: Path) -> bool:
    """Return whether a file is the archive of some application."""
    return _ARCHIVE_NAME.fullmatch(path.name) is not None


def file_header(writer: str, cells: int, application: str = "") -> bytes:
    """Return the header of a file, padded to `HEADER_SIZE`."""
    lines = MAGIC + json.dumps({"who": writer, "cells": cells}).encode() + b"\n"
    return (lines + application_line(application)).ljust(HEADER_SIZE, b"\0")


def is_application(name: str) -> bool:
    """Return whether a name may be an application's, as `Workers` writes it."""
    return _APPLICATION.fullmatch(name) is not None


def application_line(application: str) -> bytes:
    """Return the header's last line; none of a file that is of no application yet."""
    return application.encode() + b"\n" if application else b""


def read_application(descriptor: int) -> str:
    """Return the application that a file is of, an empty string while that is not written."""
    header = os.pread(descriptor, HEADER_SIZE - len(MAGIC), len(MAGIC))  # a cell may have the byte of a line's end
    lines = header.split(b"\n")  # the JSON, the application, what is not written
    return lines[1].decode(errors="replace") if len(lines) > 2 else ""  # a line has its end


def read_file_header(descriptor: int) -> tuple[str, int]:
    """Return who writes a file and how many cells it has.

    Raises:
        CorruptFile: the file is empty, cut off, or of another format.
    """
    size = os.fstat(descriptor).st_size
    if size == 0:
        raise CorruptFile("empty")
    header = os.pread(descriptor, HEADER_SIZE, 0)
    try:
        parsed: Any = json.loads(header.removeprefix(MAGIC).partition(b"\n")[0])
        writer, cells = str(parsed["who"]), int(parsed["cells"])
    except (ValueError, KeyError, TypeError):
        raise CorruptFile("torn") from None
    if not header.startswith(MAGIC) or cells < 0 or size < text_offset(cells):
        raise CorruptFile("torn")
    return writer, cells


def text_offset(cells: int) -> int:
    """Return the offset at which the text begins, in bytes."""
    return HEADER_SIZE + CELL_SIZE * cells


def lines_and_records(text: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each line and each record of the text with its offset in it; an unfinished one at the end is left out."""
    end = 0
    while (start := _PADDING.match(text, end).end()) < len(text):  # type: ignore[union-attr]  # it always matches
        end = start + RECORD_SIZE if text.startswith(RECORD_MARK, start) else text.find(b"\n", start) + 1
        if not start < end <= len(text):
            return
        yield start, text[start:end]
