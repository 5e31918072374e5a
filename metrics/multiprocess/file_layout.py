"""How a worker's file is laid out: who wrote it, an array of doubles, and what each of them is, a line a series.

The doubles stand before the text, in their places for good; the text grows at the end. A series' line is written before
its doubles are first moved, so a line that a killed process left unfinished stands for nothing. Between the lines stand
records, of exemplars, all of one length: they are written over.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from hashlib import blake2s
from pathlib import Path
from time import time_ns
from typing import Any, Literal, get_args

from events.pipeline import WorkerFileFault

from ..rows import MultiprocessMode

MAGIC = b"cells 3\n"
HEADER_SIZE = 4096  # bytes before the array: one page of memory, so that the array begins on one
CELL_SIZE = 8  # bytes of a double
MAX_CELLS = 2**17  # three times the series budget; what is not used takes no room on the disk
RECORD_MARK = b"#"  # begins a record
RECORD_SIZE = (
    1024  # bytes: 128 characters, each six long where JSON escapes it, and a power of two, to lie within a page
)
SUFFIX = ".worker"
ARCHIVE = "gone" + SUFFIX

_SPACES = re.compile(b" *")  # before a record, to its place

Kind = Literal["counter", "gauge", "histogram"]
AggregationMode = Literal["total"] | MultiprocessMode
"""How a value is aggregated over processes: ``total`` is the sum of all there ever were, as for counters."""

AGGREGATION_MODES = frozenset({"total", *get_args(MultiprocessMode)})

ARCHIVED_MODES: frozenset[AggregationMode] = frozenset({"total", "max", "min"})


class CorruptFile(Exception):
    """A file is not as it should be."""

    def __init__(self, fault: WorkerFileFault) -> None:
        super().__init__(fault)
        self.fault = fault


@dataclass(frozen=True)
class FamilySchema:
    """What is the same in all series of a family; files whose families differ are not mixed."""

    family: str
    kind: Kind
    mode: AggregationMode
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()

    @property
    def numbers(self) -> int:
        """How many numbers a series has: its value, or its sum and its buckets."""
        return len(self.bounds) + 2 if self.kind == "histogram" else 1

    @property
    def cells(self) -> int:
        """How many doubles they take; beside the most recent stands its time."""
        return self.numbers + (self.mode == "livemostrecent")

    @cached_property
    def digest(self) -> str:
        """Name the shape, the family's name included, in short."""
        return blake2s(json.dumps(asdict(self)).encode(), digest_size=6).hexdigest()

    @cached_property
    def line(self) -> bytes:
        """Describe the family: stands once in each file, before its series."""
        return json.dumps(asdict(self)).encode() + b"\n"

    def series(self, values: tuple[str, ...]) -> bytes:
        """Describe a series by its labels' values; the same bytes in every file."""
        return json.dumps([self.digest, *values]).encode() + b"\n"


def parse_family_line(line: bytes) -> FamilySchema:
    """Read a family's line.

    Raises:
        CorruptFile: it is none.
    """
    try:
        said = json.loads(line)
        bounds = tuple(map(float, said["bounds"]))
        shape = FamilySchema(str(said["family"]), said["kind"], said["mode"], tuple(map(str, said["labels"])), bounds)
    except (ValueError, KeyError, TypeError):
        raise CorruptFile("torn") from None
    if shape.kind not in get_args(Kind) or shape.mode not in AGGREGATION_MODES:
        raise CorruptFile("torn")
    return shape


@lru_cache(MAX_CELLS)
def parse_label_values(line: bytes) -> tuple[str, ...]:
    """Read the labels' values from a series' line; every worker has much the same lines.

    Raises:
        CorruptFile: it is none.
    """
    try:
        _, *values = json.loads(line)
    except ValueError:
        raise CorruptFile("torn") from None
    if not all(isinstance(value, str) for value in values):
        raise CorruptFile("torn")
    return tuple(values)


def process_identity() -> str:
    """Name this process so that no other ever has the name: its id comes again, the moment of its start does not."""
    try:
        began = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]  # in ticks since the machine's
    except (OSError, IndexError):
        began = str(time_ns())
    return f"{os.getpid()}-{began}"


def file_header(who: str, cells: int) -> bytes:
    """Write what stands at the beginning of a file."""
    return (MAGIC + json.dumps({"who": who, "cells": cells}).encode() + b"\n").ljust(HEADER_SIZE, b"\0")


def read_file_header(descriptor: int) -> tuple[str, int]:
    """Read who wrote a file and how many doubles it holds.

    Raises:
        CorruptFile: it is empty, or not whole.
    """
    size = os.fstat(descriptor).st_size
    if size == 0:
        raise CorruptFile("empty")
    start = os.pread(descriptor, HEADER_SIZE, 0)
    try:
        said: Any = json.loads(start.removeprefix(MAGIC).partition(b"\n")[0])
        who, cells = str(said["who"]), int(said["cells"])
    except (ValueError, KeyError, TypeError):
        raise CorruptFile("torn") from None
    if not start.startswith(MAGIC) or cells < 0 or size < text_offset(cells):
        raise CorruptFile("torn")
    return who, cells


def text_offset(cells: int) -> int:
    """Say where the text begins."""
    return HEADER_SIZE + CELL_SIZE * cells


def lines_and_records(text: bytes) -> Iterator[tuple[int, bytes]]:
    """Split text into lines and records, each with its place; what is not whole yet, at the end, is left."""
    end = 0
    while (begin := _SPACES.match(text, end).end()) < len(text):  # type: ignore[union-attr]  # it always matches
        end = begin + RECORD_SIZE if text.startswith(RECORD_MARK, begin) else text.find(b"\n", begin) + 1
        if not begin < end <= len(text):
            return
        yield begin, text[begin:end]
