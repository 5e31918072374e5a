"""The values of a process that counts alone: in memory, in the file that it left, and why it left it."""

from __future__ import annotations

import errno
from math import isnan
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.samples import Exemplar

from metrics.multiprocess import Workers
from metrics.multiprocess.file_layout import FamilySchema, text_offset
from metrics.multiprocess.folder_problems import describe
from metrics.multiprocess.left_file import LeftFile
from metrics.multiprocess.own_values import OwnValues
from metrics.multiprocess.shared_file import SharedFile

CALLS = FamilySchema("calls", "counter", "total", ("who",))
TOOK = FamilySchema("took", "histogram", "total", (), (1.0,))
LAST = FamilySchema("last", "gauge", "livemostrecent")


@pytest.fixture
def file(tmp_path: Path) -> Any:
    made = SharedFile(tmp_path, capacity=8)
    yield made
    made.close()


def test_own_values_are_read_as_a_file_is(file: SharedFile) -> None:
    own = OwnValues(file)
    assert (own.read_new(), own.values(), own.read()) == ([], [], ([], True))
    [calls] = file.add_series(CALLS, ("a",))
    [last] = file.add_series(LAST, ())
    assert own.read_new() == [(CALLS.series_line(("a",)), CALLS), (LAST.series_line(()), LAST)]
    assert own.read_new() == []
    took = file.add_series(TOOK, ())
    assert [schema for _, schema in own.read_new()] == [TOOK]
    calls.set(2.0)
    last.set(7.0)
    for value, amount in zip(took, (0.5, 1.0, 3.0), strict=True):
        value.set(amount)
    assert own.values() == [2.0, 7.0, 0.0, 0.5, 1.0, 3.0]
    exemplar = Exemplar({"trace_id": "a"}, 1.0, 5.0)
    took[1].set_exemplar(exemplar)
    calls.set_exemplar(exemplar)
    assert own.read() == ([(0, exemplar), (4, exemplar)], True)


def test_a_file_that_is_left_has_the_places_of_its_series_and_is_emptied_when_another_takes_over(
    file: SharedFile,
) -> None:
    for schema, values in ((CALLS, [2.0]), (TOOK, [0.5, 1.0, 3.0]), (LAST, [7.0])):
        for value, amount in zip(file.add_series(schema, ("a",) * len(schema.labels)), values, strict=True):
            value.set(amount)
    file.add_series(TOOK, ("too many",))  # no room: in memory alone
    written = file._written
    assert written is not None
    left = LeftFile(written, file.series)
    assert left.places == {(CALLS, ("a",)): 0, (TOOK, ()): 1, (LAST, ()): 4}
    assert left.is_back()
    left.withdraw()
    assert (written.cells[:4].tolist(), isnan(written.cells[4])) == ([0.0] * 4, True)
    assert not written.is_whole()


def test_a_file_that_is_gone_or_cut_off_is_not_back(file: SharedFile) -> None:
    written = file._written
    assert written is not None
    left = LeftFile(written, file.series)
    moved = written.path.rename(written.path.with_suffix(".away"))
    assert not left.is_back()
    moved.rename(written.path)
    assert left.is_back()
    with written.path.open("r+b") as content:
        content.truncate(text_offset(8) - 1)
    assert not left.is_back()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device; free some space"),
        (OSError(errno.EACCES, "Permission denied", "/run/metrics"), "Permission denied; let this process's user"),
        (OSError(errno.EACCES, "Permission denied", "/run/metrics/a.worker"), "a.worker: Permission denied; let"),
        (OSError(errno.EISDIR, "Is a directory", "/run/a.new", None, "/run/a.lock"), "a.lock: Is a directory; that is"),
        (OSError(errno.ENOENT, "No such file", "/run/a.worker"), "No such file; somebody has removed it"),
        (OSError(errno.EXDEV, "Cross-device link"), "Cross-device link; name a folder on a disk of this machine"),
        (OSError("odd"), "OSError; name a folder on a disk of this machine"),
    ],
)
def test_a_problem_is_said_with_its_cure(error: OSError, said: str) -> None:
    assert describe(error).startswith(said)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a folder where nothing can be created is needed")
def test_a_folder_that_cannot_be_created_is_not_said_to_have_been_removed(caplog: pytest.LogCaptureFixture) -> None:
    workers = Workers(Path("/proc/metrics"))
    workers.close()
    assert workers.counts_alone
    assert caplog.messages[0].startswith(
        "the folder for metrics /proc/metrics cannot be used: it cannot be created: No such file or directory; name a"
        " folder in one that this process's user may write to. This process counts alone"
    )
