"""A worker's file is its own: private, locked while its process has it, and none is left where it fails."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metrics.multiprocess import file_creation
from metrics.multiprocess.archive import writer_is_alive
from metrics.multiprocess.file_creation import CreatedFile, create_file, reserve
from metrics.multiprocess.file_layout import process_identity, read_file_header, text_offset
from metrics.multiprocess.shared_file import SharedFile


@pytest.fixture
def created(tmp_path: Path) -> Iterator[CreatedFile]:
    file = create_file(tmp_path, cells=10)
    yield file
    os.close(file.descriptor)


def test_a_new_file_is_complete_and_of_its_user_alone(created: CreatedFile, tmp_path: Path) -> None:
    assert [*tmp_path.iterdir()] == [created.path]
    assert created.path.name.startswith(f"{process_identity()}-")
    assert created.path.suffix == ".worker"
    status = os.fstat(created.descriptor)
    assert (stat.S_IMODE(status.st_mode), status.st_size) == (0o600, text_offset(10))
    assert status.st_blocks * 512 >= status.st_size  # allocated, not only extended
    assert read_file_header(created.descriptor) == (created.path.stem, 10)
    assert not os.get_inheritable(created.descriptor)


def test_what_is_mapped_and_what_is_written_are_in_the_file(created: CreatedFile) -> None:
    created.memory[text_offset(0)] = 7
    os.pwrite(created.descriptor, b"text", text_offset(10))
    content = created.path.read_bytes()
    assert (content[text_offset(0)], content[text_offset(10) :]) == (7, b"text")


def test_the_lock_ends_with_the_descriptor_though_the_mapping_lives_on(tmp_path: Path) -> None:
    created = create_file(tmp_path, cells=10)
    assert writer_is_alive(created.path)
    os.close(os.dup(created.descriptor))
    assert writer_is_alive(created.path)
    os.close(created.descriptor)
    assert not writer_is_alive(created.path)
    created.memory[text_offset(0)] = 7


def test_of_a_file_that_cannot_be_created_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a full disk."""

    def fail(*_: object) -> None:
        raise OSError("no space")

    opened: list[int] = []
    open_file = os.open

    def record(*arguments: Any) -> int:
        opened.append(open_file(*arguments))
        return opened[-1]

    monkeypatch.setattr(file_creation, "reserve", fail)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", record)
        with pytest.raises(OSError, match="no space"):
            create_file(tmp_path, cells=10)
    assert [*tmp_path.iterdir()] == []
    assert len(opened) == 2
    for descriptor in opened:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


@pytest.mark.parametrize("allocates", [True, False])
def test_the_room_for_a_file_is_taken_to_its_last_byte(
    allocates: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the system cannot allocate it."""
    if not allocates:
        monkeypatch.delattr(os, "posix_fallocate")
    with (tmp_path / "file").open("w+b") as file:
        reserve(file.fileno(), 5000)
        assert os.fstat(file.fileno()).st_size == 5000
        if not allocates:
            monkeypatch.setattr(os, "pwrite", lambda _descriptor, content, _offset: len(content) - 1)
            with pytest.raises(OSError, match="No space"):
                reserve(file.fileno(), 5000)


def test_a_process_has_each_file_under_another_name(tmp_path: Path) -> None:
    files = [create_file(tmp_path, cells=1) for _ in range(3)]
    assert len({file.path for file in files}) == 3
    for file in files:
        fcntl.flock(file.descriptor, fcntl.LOCK_UN)
        os.close(file.descriptor)


def test_a_folder_that_there_is_not_is_created_for_its_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "studio"
    for _ in range(2):
        SharedFile(folder).close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
