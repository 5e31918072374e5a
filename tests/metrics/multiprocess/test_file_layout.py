"""The text and the header of a worker's file are read back as they were written, and nothing else is accepted."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from metrics.multiprocess.file_layout import (
    HEADER_SIZE,
    MAGIC,
    RECORD_MARK,
    RECORD_SIZE,
    CorruptFile,
    FamilySchema,
    file_header,
    lines_and_records,
    parse_family_line,
    parse_label_values,
    process_identity,
    read_application,
    read_file_header,
    text_offset,
)

HISTOGRAM = FamilySchema("took", "histogram", "total", ("method",), (0.5, 1.0))


def read_header(folder: Path, content: bytes) -> tuple[str, int]:
    (folder / "file").write_bytes(content)
    with (folder / "file").open("rb") as file:
        return read_file_header(file.fileno())


@pytest.mark.parametrize("application", ["", "studio"])
def test_no_cell_is_read_as_the_name_of_an_application(tmp_path: Path, application: str) -> None:
    """The number 3.25 has the byte that ends a line."""
    (tmp_path / "file").write_bytes(file_header("me", 1, application) + struct.pack("d", 3.25))
    with (tmp_path / "file").open("rb") as file:
        assert read_application(file.fileno()) == application


@pytest.mark.parametrize(
    ("schema", "values", "cells"),
    [
        (HISTOGRAM, 4, 4),
        (FamilySchema("calls", "counter", "total"), 1, 1),
        (FamilySchema("depth", "gauge", "livesum"), 1, 1),
        (FamilySchema("left", "gauge", "livemostrecent"), 1, 2),
    ],
)
def test_a_series_has_a_cell_for_each_value_and_one_for_its_time(schema: FamilySchema, values: int, cells: int) -> None:
    assert (schema.value_count, schema.cell_count) == (values, cells)


def test_lines_are_read_back() -> None:
    assert parse_family_line(HISTOGRAM.line) == HISTOGRAM
    assert parse_label_values(HISTOGRAM.series_line(("GET\n", '"é'))) == ("GET\n", '"é')


def test_the_file_format_has_not_changed() -> None:
    """Workers of two versions share a folder during an update: a change here needs another MAGIC."""
    assert MAGIC == b"cells 3\n"
    assert HISTOGRAM.line == (
        b'{"family": "took", "kind": "histogram", "mode": "total", "labels": ["method"], "bounds": [0.5, 1.0]}\n'
    )
    assert HISTOGRAM.series_line(("GET",)) == b'["%s", "GET"]\n' % HISTOGRAM.digest.encode()
    assert HISTOGRAM.digest == "02e0e95f33d1"
    assert file_header("12-34-56", 7).rstrip(b"\0") == b'cells 3\n{"who": "12-34-56", "cells": 7}\n'
    assert len(file_header("12-34-56", 7)) == HEADER_SIZE == 4096
    assert text_offset(7) == 4096 + 7 * 8
    assert (RECORD_MARK, RECORD_SIZE) == (b"#", 1024)


@pytest.mark.parametrize(
    "change", [{"kind": "summary"}, {"mode": "all"}, {"bounds": ["x"]}, {"labels": 7}, {"family": ...}]
)
def test_a_line_that_is_no_familys_is_refused(change: dict[str, Any]) -> None:
    parsed = {**json.loads(HISTOGRAM.line), **change}
    line = json.dumps({key: value for key, value in parsed.items() if value is not ...}).encode() + b"\n"
    with pytest.raises(CorruptFile, match="torn"):
        parse_family_line(line)


@pytest.mark.parametrize("line", [b"[]\n", b"{", b'["0123456789ab", 7]\n', b'["0123456789ab", "a"'])
def test_a_line_that_is_no_series_is_refused(line: bytes) -> None:
    with pytest.raises(CorruptFile, match="torn"):
        parse_label_values(line)


def test_a_header_is_read_back(tmp_path: Path) -> None:
    assert read_header(tmp_path, file_header("me", 2) + bytes(16)) == ("me", 2)
    assert read_header(tmp_path, file_header("me", 0)) == ("me", 0)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "empty"),
        (file_header("me", 2) + bytes(15), "torn"),
        (file_header("me", -1), "torn"),
        (file_header("me", 2)[:20], "torn"),
        (file_header("me", 2).replace(b"cells 3", b"cells 2") + bytes(16), "torn"),
        (file_header("me", 2).replace(MAGIC, b"", 1) + bytes(24), "torn"),
        (file_header("me", 2).replace(b'"who"', b'"who_"') + bytes(16), "torn"),
        (MAGIC + b"[]\n" + bytes(5000), "torn"),
    ],
)
def test_a_file_that_is_empty_cut_off_or_of_another_format_is_refused(
    tmp_path: Path, content: bytes, fault: str
) -> None:
    with pytest.raises(CorruptFile, match=fault):
        read_header(tmp_path, content)


def test_lines_and_records_are_found_with_their_offsets() -> None:
    record = RECORD_MARK + b"x" * (RECORD_SIZE - 2) + b"\n"
    text = b"[1]\n" + b"   " + record + b"[2]\n"
    assert list(lines_and_records(text)) == [(0, b"[1]\n"), (7, record), (7 + RECORD_SIZE, b"[2]\n")]
    assert list(lines_and_records(text[:-1])) == [(0, b"[1]\n"), (7, record)]
    assert list(lines_and_records(text[: 7 + RECORD_SIZE - 1])) == [(0, b"[1]\n")]
    assert list(lines_and_records(text[: 7 + RECORD_SIZE])) == [(0, b"[1]\n"), (7, record)]
    assert list(lines_and_records(b"[1]")) == []
    assert list(lines_and_records(b"")) == list(lines_and_records(b"   ")) == []


def test_a_process_is_named_by_its_id_and_the_time_of_its_start() -> None:
    identity = process_identity()
    assert identity == process_identity()
    pid, started = identity.split("-")
    assert int(pid) == os.getpid()
    assert int(started) > 0
