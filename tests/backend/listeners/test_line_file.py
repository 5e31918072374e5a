"""Lines are appended whole, whatever happens to the file in between."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from app.listeners.line_file import PIECE, LineFile, pieces
from tests.support.users import as_nobody


@pytest.fixture
def file(tmp_path: Path) -> Iterator[LineFile]:
    opened = LineFile(tmp_path / "events.jsonl")
    yield opened
    opened.close()


def test_lines_are_appended_to_what_is_there(tmp_path: Path, file: LineFile) -> None:
    (tmp_path / "events.jsonl").write_bytes(b"before\n")
    assert file.write([b"one\n", b"two\n"]) == (2, None)
    assert file.write([b"three\n"]) == (1, None)
    assert (tmp_path / "events.jsonl").read_bytes() == b"before\none\ntwo\nthree\n"


def test_a_file_that_was_moved_or_removed_is_created_anew(tmp_path: Path, file: LineFile) -> None:
    """As logrotate does it, which tells nobody."""
    name = tmp_path / "events.jsonl"
    file.write([b"one\n"])
    name.rename(tmp_path / "events.jsonl.1")
    file.write([b"two\n"])
    assert (tmp_path / "events.jsonl.1").read_bytes() == b"one\n"
    assert name.read_bytes() == b"two\n"
    name.unlink()
    file.write([b"three\n"])
    assert name.read_bytes() == b"three\n"
    name.replace(tmp_path / "events.jsonl.1")
    name.write_bytes(b"of somebody else\n")
    file.write([b"four\n"])
    assert name.read_bytes() == b"of somebody else\nfour\n"


def test_a_file_that_was_cut_to_nothing_goes_on_at_its_beginning(tmp_path: Path, file: LineFile) -> None:
    """As logrotate's copytruncate does it."""
    file.write([b"one\n"])
    os.truncate(tmp_path / "events.jsonl", 0)
    file.write([b"two\n"])
    assert (tmp_path / "events.jsonl").read_bytes() == b"two\n"


def test_a_line_that_was_cut_off_is_ended_first(tmp_path: Path, file: LineFile) -> None:
    (tmp_path / "events.jsonl").write_bytes(b'{"signal":"llm_ca')
    file.write([b"next\n"])
    assert (tmp_path / "events.jsonl").read_bytes() == b'{"signal":"llm_ca\nnext\n'


def test_others_cannot_read_a_new_file(tmp_path: Path, file: LineFile) -> None:
    file.write([b"one\n"])
    assert (tmp_path / "events.jsonl").stat().st_mode & 0o007 == 0


def test_what_cannot_be_opened_is_said_and_tried_again(tmp_path: Path) -> None:
    file = LineFile(tmp_path / "later" / "events.jsonl")
    written, error = file.write([b"one\n"])
    assert (written, error and error.errno) == (0, errno.ENOENT)
    (tmp_path / "later").mkdir()
    assert file.write([b"two\n"]) == (1, None)
    file.close()


def test_a_device_that_is_full_takes_nothing() -> None:
    file = LineFile(Path("/dev/full"))
    written, error = file.write([b"one\n", b"two\n"])
    assert (written, error and error.errno) == (0, errno.ENOSPC)
    file.close()


def test_a_named_pipe_is_written_once_somebody_reads_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    file = LineFile(pipe)
    written, error = file.write([b"one\n"])
    assert (written, error and error.errno) == (0, errno.ENXIO)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert file.write([b"two\n"]) == (1, None)
    assert os.read(reader, 100) == b"two\n"
    os.close(reader)
    written, error = file.write([b"three\n"])
    assert (written, error and error.errno) == (0, errno.EPIPE)
    file.close()


@pytest.mark.slow
def test_standard_output_of_a_container_has_a_name() -> None:
    code = (
        "from pathlib import Path; from app.listeners.line_file import LineFile\n"
        "print(LineFile(Path('/dev/stdout')).write([b'one\\n']))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "one\n(1, None)\n"


def test_a_file_that_may_be_written_and_not_read_is_written() -> None:
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o777)
        name = Path(place) / "events.jsonl"
        with as_nobody():
            name.touch(0o200)
            with pytest.raises(PermissionError):
                name.read_bytes()
            file = LineFile(name)
            assert file.write([b"one\n"]) == (1, None)
        file.close()
        name.chmod(0o600)
        assert name.read_bytes() == b"one\n"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk in memory with room for 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root mounts a disk in memory")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no disk in memory can be mounted here: {mounted.stderr}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_disk_that_is_full_takes_what_has_room_and_more_once_there_is_some(small_disk: Path) -> None:
    file = LineFile(small_disk / "events.jsonl")
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 40_000)
    lines = [b"%05d %s\n" % (number, b"y" * 92) for number in range(500)]
    written, error = file.write(lines)
    assert error is not None
    assert error.errno == errno.ENOSPC
    assert 0 < written < 500
    assert file.write([b"lost\n"])[0] == 0
    ballast.unlink()
    assert file.write([b"found\n"]) == (1, None)
    *kept, last = (small_disk / "events.jsonl").read_bytes().splitlines(keepends=True)
    assert kept[:written] == lines[:written]
    assert len(kept) - written in {0, 1}  # the one that was cut off, ended
    assert last == b"found\n"
    file.close()


def test_a_pipe_without_a_reader_takes_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Standard error is one: `capfd` has put it away, and a pipe is put in its place."""
    read, write = os.pipe()
    before = os.dup(2)
    os.dup2(write, 2)
    file = LineFile(None)
    try:
        assert file.write([b"one\n"]) == (1, None)
        assert os.read(read, 100) == b"one\n"
        os.close(read)
        written, error = file.write([b"two\n"])
        assert (written, error and error.errno) == (0, errno.EPIPE)
    finally:
        os.dup2(before, 2)
        file.close()
        os.close(before)
        os.close(write)


def test_lines_of_several_writers_stay_whole(tmp_path: Path) -> None:
    name = tmp_path / "events.jsonl"

    def write(letter: bytes) -> None:
        file = LineFile(name)
        for _ in range(50):
            file.write([letter * 300 + b"\n"] * 20)
        file.close()

    threads = [Thread(target=write, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # A writer that opens the file while another one has written half a line may add an empty one.
    lines = [line for line in name.read_bytes().splitlines() if line]
    assert len(lines) == 3000
    assert {*lines} == {b"a" * 300, b"b" * 300, b"c" * 300}


def test_pieces_end_where_lines_end_unless_a_line_is_longer() -> None:
    lines = [b"a" * 1999 + b"\n", b"b" * 1999 + b"\n", b"c" * 1999 + b"\n", b"d" * 5000 + b"\n", b"e\n"]
    found = [*pieces(lines)]
    assert b"".join(found) == b"".join(lines)
    assert [len(piece) for piece in found] == [4000, 2000, 5001, 2]
    assert all(len(piece) <= PIECE or piece.count(b"\n") == 1 for piece in found)
