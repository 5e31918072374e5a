"""A worker's file is read as it was written: its series, their cells, and where it ends."""

from __future__ import annotations

import errno
import os
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest

from metrics.multiprocess.file_layout import (
    RECORD_SIZE,
    CorruptFile,
    FamilySchema,
    file_header,
    text_offset,
)
from metrics.multiprocess.file_reader import Reader, worker_files
from metrics.multiprocess.written_file import WrittenFile

CALLS = FamilySchema("calls", "counter", "total", ("who",))
TOOK = FamilySchema("took", "histogram", "total", (), (0.5, 1.0))


@pytest.fixture
def written(tmp_path: Path) -> Iterator[WrittenFile]:
    file = WrittenFile(tmp_path, 6, "")
    yield file
    file.close()


@pytest.fixture
def reader(written: WrittenFile) -> Iterator[Reader]:
    opened = Reader(written.path)
    yield opened
    opened.close()


def test_series_have_the_next_cells_and_each_family_is_described_once(written: WrittenFile, reader: Reader) -> None:
    assert written.allocate(CALLS, ("a",)) == 0
    assert reader.read_new() == [(CALLS.series_line(("a",)), CALLS)]
    assert reader.read_new() == []
    assert [written.allocate(TOOK, ()), written.allocate(CALLS, ("b",))] == [1, 5]
    written.cells[0], written.cells[5] = 2.5, 7.0
    assert [schema for _, schema in reader.read_new()] == [TOOK, CALLS]
    assert [schema for _, schema in reader.series] == [CALLS, TOOK, CALLS]
    assert reader.values() == [2.5, 0.0, 0.0, 0.0, 0.0, 7.0]
    assert written.path.read_bytes().count(CALLS.line) == 1


def test_a_file_takes_as_many_numbers_as_it_has_cells_and_no_more(written: WrittenFile, reader: Reader) -> None:
    written.allocate(TOOK, ())
    written.allocate(CALLS, ("a",))
    with pytest.raises(OSError, match="it holds 6 numbers at most") as full:
        written.allocate(TOOK, ("b",))
    assert full.value.errno == errno.ENOSPC
    assert written.allocate(CALLS, ("c",)) == 5
    with pytest.raises(OSError, match="6 numbers"):
        written.allocate(CALLS, ("d",))
    assert [line for line, _ in reader.read_new()] == [
        TOOK.series_line(()), CALLS.series_line(("a",)), CALLS.series_line(("c",)),
    ]  # fmt: skip


def test_a_record_stands_at_a_multiple_of_its_size_and_is_overwritten_there(
    written: WrittenFile, reader: Reader
) -> None:
    record = b"#" + b"x" * (RECORD_SIZE - 2) + b"\n"
    written.allocate(CALLS, ("a",))
    offset = written._write_record(record, None)
    assert offset is not None
    assert offset % RECORD_SIZE == 0
    assert written._write_record(record.replace(b"x", b"y"), offset) == offset
    assert written.allocate(CALLS, ("b",)) == 1
    assert len(reader.read_new()) == 2
    assert written.path.read_bytes().count(b"x" * 9) == 0
    assert written.path.read_bytes()[offset : offset + 2] == b"#y"


def test_what_is_not_written_as_a_whole_is_overwritten(
    written: WrittenFile, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk."""
    pwrite = os.pwrite
    written.allocate(CALLS, ("a",))
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", lambda descriptor, text, offset: pwrite(descriptor, text[:-1], offset))
        with pytest.raises(OSError, match="No space") as raised:
            written.allocate(CALLS, ("long and lost",))
    assert raised.value.errno == errno.ENOSPC
    assert written.allocate(CALLS, ("b",)) == 1
    assert [line for line, _ in reader.read_new()] == [CALLS.series_line(("a",)), CALLS.series_line(("b",))]


def test_a_file_that_is_cut_off_or_replaced_is_noticed(written: WrittenFile, reader: Reader, tmp_path: Path) -> None:
    def states() -> tuple[bool, bool]:
        return written.is_whole(), reader.is_truncated

    end = text_offset(6)
    os.truncate(written.path, end)
    written.check()
    assert states() == (True, False)
    os.truncate(written.path, end - 1)
    with pytest.raises(OSError, match="cut") as cut:
        written.check()
    assert cut.value.errno == errno.EIO
    assert states() == (False, True)
    os.truncate(written.path, end)
    (tmp_path / "other").write_bytes(written.path.read_bytes())
    (tmp_path / "other").replace(written.path)
    with pytest.raises(FileNotFoundError):
        written.check()
    assert states() == (True, False)


def test_a_writer_lives_until_it_closes_its_file(written: WrittenFile, reader: Reader) -> None:
    assert reader.is_alive()
    written.close()
    written.close()
    assert not reader.is_alive()
    assert not written.is_whole()
    with pytest.raises(OSError, match="Bad file descriptor"):
        written.allocate(CALLS, ("a",))


def test_the_application_is_known_once_it_is_written(written: WrittenFile, reader: Reader) -> None:
    assert reader.application == ""
    written.set_application("studio")
    assert reader.application == "studio"
    assert reader.writer == written.path.stem


def test_after_a_broken_line_nothing_is_read(written: WrittenFile, reader: Reader) -> None:
    written.allocate(CALLS, ("a",))
    written._append(b'["no such digest"]\n')
    with pytest.raises(CorruptFile):
        reader.read_new()
    assert [line for line, _ in reader.new] == [CALLS.series_line(("a",))]
    written.allocate(CALLS, ("b",))
    assert reader.read_new() == []
    assert len(reader.series) == 1


@pytest.mark.parametrize(
    "line",
    [CALLS.series_line(()), CALLS.series_line(("a", "b")), TOOK.series_line(())],
    ids=["without its label", "with a label more", "of a family that is not described"],
)
def test_a_series_that_does_not_fit_its_family_is_torn(line: bytes, written: WrittenFile, reader: Reader) -> None:
    written._append(CALLS.line + line)
    with pytest.raises(CorruptFile) as torn:
        reader.read_new()
    assert torn.value.fault == "torn"


@pytest.mark.parametrize(("cells", "is_torn"), [(4, False), (3, True)])
def test_a_series_that_ends_behind_the_cells_is_torn(cells: int, is_torn: bool, tmp_path: Path) -> None:
    content = file_header("w", cells) + bytes(8 * cells) + TOOK.line + TOOK.series_line(())
    (tmp_path / "1.worker").write_bytes(content)
    reader = Reader(tmp_path / "1.worker")
    if is_torn:
        with pytest.raises(CorruptFile):
            reader.read_new()
    else:
        assert len(reader.read_new()) == 1
    reader.close()


def test_an_archive_names_its_workers_and_has_several_layers(tmp_path: Path) -> None:
    values = array("d", [1, 2, 3, 4]).tobytes()
    text = b'{"folded": ["7-1", "8-2"]}\n' + CALLS.line + CALLS.series_line(("a",))
    (tmp_path / "gone.worker").write_bytes(file_header("gone", 4) + values + text)
    reader = Reader(tmp_path / "gone.worker", layers=2)
    reader.read_new()
    assert reader.archived == {"7-1", "8-2"}
    assert (reader.cells, reader.values(0), reader.values(1)) == (2, [1.0], [3.0])
    reader.close()


def test_the_files_of_workers_are_those_that_are_no_archive(tmp_path: Path) -> None:
    for name in ("2.worker", "1.worker", "gone.worker", "gone-a.worker", "1.new", "notes"):
        (tmp_path / name).touch()
    assert [path.name for path in worker_files(tmp_path)] == ["1.worker", "2.worker"]
    assert worker_files(tmp_path / "none") == []
