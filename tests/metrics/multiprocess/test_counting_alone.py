"""A process that cannot share its numbers counts alone, says so once, and shares them again once it can."""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from prometheus_client import Counter, Gauge

from events import worker_file_faulty
from metrics.multiprocess import Workers, archive, shared_file
from metrics.multiprocess.fault_reports import report_file_fault
from tests.support.counter_worker import LocalWorker, count_call
from tests.support.forks import in_child
from tests.support.users import NOBODY

pytestmark = pytest.mark.slow

FULL = "No space left on device"
LONG = "model {} of " + "x" * 180
"""A name so long that the series of a few do not fit into what is left of the last page of a file."""


@pytest.fixture
def tmpfs(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Return a file system in memory, with the options that the test names."""
    with TemporaryDirectory() as parent:
        command = ["mount", "-t", "tmpfs", "-o", request.param, "tmpfs", parent]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting needs root")
        try:
            yield Path(parent)
        finally:
            subprocess.run(["umount", "-l", parent], check=True)


def fill(folder: Path) -> Path:
    """Take all room on a disk; return the file that takes it."""
    path = folder / "somebody else's"
    with path.open("ab", buffering=0) as file:
        for size in (2**16, 2**12, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                pass
    return path


def lines(caplog: pytest.LogCaptureFixture, folder: Path) -> list[str]:
    """Return what was logged about a folder; a forked process says more about those of other tests."""
    messages = [message for message in caplog.messages if str(folder) in message]
    return [message.removeprefix(f"the folder for metrics {folder} ") for message in messages]


@pytest.fixture
def counted_alone(caplog: pytest.LogCaptureFixture) -> Callable[[Path], str]:
    """Return a function that counts twice in workers of a folder and returns what is wrong, else what was logged."""

    def count(folder: Path) -> str:
        with worker_file_faulty.captured() as faults, LocalWorker(folder) as worker:
            count_call()
            shown = worker.calls() + worker.calls()
            assert worker.read("worker_file_faults_total", fault="unshared") == 1
            assert worker.read("workers_counting_alone") == 1
            count_call()
            assert set(shown + worker.calls()) == {1.0, 2.0}
            assert [fault.fault for fault in faults] == ["unshared"]
        [line] = lines(caplog, folder)
        assert "This process counts alone" in line
        return line.partition(". ")[0]

    return count


def test_a_file_instead_of_a_folder(tmp_path: Path, counted_alone: Callable[[Path], str]) -> None:
    (tmp_path / "file").write_text("mine")
    said = "cannot be used: File exists; that is a file: name a folder, or remove the file"
    assert counted_alone(tmp_path / "file") == said
    assert (tmp_path / "file").read_text() == "mine"


def test_a_file_in_the_place_of_a_parent(tmp_path: Path, counted_alone: Callable[[Path], str]) -> None:
    (tmp_path / "file").write_text("mine")
    assert counted_alone(tmp_path / "file" / "workers").startswith("cannot be used: Not a directory; that is a file")


@pytest.mark.parametrize("mode", [0o000, 0o500, 0o300], ids=["nothing allowed", "no writing", "no listing"])
def test_a_folder_that_is_not_permitted(mode: int, counted_alone: Callable[[Path], str]) -> None:
    if os.geteuid() != 0:
        pytest.skip("another user is needed")
    with TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        folder = Path(parent) / "workers"
        folder.mkdir()
        shutil.chown(folder, NOBODY)
        folder.chmod(mode)

        def as_nobody() -> str:
            os.seteuid(NOBODY)
            return counted_alone(folder)

        said = "cannot be used: Permission denied; let this process's user write there, or name another folder"
        assert in_child(as_nobody) == said


@pytest.mark.parametrize("tmpfs", ["size=64k", "size=6m,nr_inodes=1"], indirect=True, ids=["no space", "no inodes"])
def test_a_disk_without_room(tmpfs: Path, counted_alone: Callable[[Path], str]) -> None:
    assert counted_alone(tmpfs).startswith(f"cannot be used: {FULL}; free some space")
    assert [*tmpfs.iterdir()] == []


@pytest.mark.parametrize("tmpfs", ["size=6m,ro"], indirect=True)
def test_a_disk_that_is_read_only(tmpfs: Path, counted_alone: Callable[[Path], str]) -> None:
    said = "cannot be used: Read-only file system; the disk is read-only: name a folder on another one"
    assert counted_alone(tmpfs) == said


@pytest.mark.parametrize(
    ("kind", "limit", "said"),
    [
        (resource.RLIMIT_FSIZE, 100_000, "File too large; raise the limit of a file's size (ulimit -f)"),
        (resource.RLIMIT_NOFILE, 0, "Too many open files; raise the limit of open files (ulimit -n)"),
    ],
)
def test_a_limit_of_the_process(
    kind: int, limit: int, said: str, tmp_path: Path, counted_alone: Callable[[Path], str]
) -> None:
    def limited() -> str:
        resource.setrlimit(kind, (limit, limit))
        return counted_alone(tmp_path)

    assert in_child(limited) == f"cannot be used: {said}"


def test_a_forked_process_without_room_names_the_folder(
    folder: Path, here: LocalWorker, caplog: pytest.LogCaptureFixture
) -> None:
    """It begins at 0, and neither the process that it was forked from nor its file is in what it says and shows."""
    count_call()

    def without_room() -> object:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            os._exit(0)
        before = here.calls()
        count_call()
        return {*before}, {*here.calls()}, lines(caplog, folder), len(lines(caplog, folder))

    found = in_child(without_room)
    assert found.startswith('({0.0}, {1.0}, ["cannot be used: File too large; ')
    assert found.endswith(" 1)")
    assert set(here.calls()) == {1.0}


@pytest.mark.parametrize("tmpfs", ["size=3m"], indirect=True)
def test_a_disk_that_fills_up_kills_no_process_and_loses_no_count(
    tmpfs: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The room of a file is allocated; what has no room in it is in the totals once there is room again."""
    monkeypatch.setattr(shared_file, "RETRY_INTERVAL", 0.0)
    folder = tmpfs / "workers"
    with LocalWorker(folder) as worker:
        count_call()
        taken = fill(tmpfs)
        for number in range(200):
            count_call(LONG.format(number))
            count_call()
        assert set(worker.calls()) == {201.0}
        [line] = caplog.messages
        assert line.startswith(f"no room in {folder}/")
        assert line.endswith(f": {FULL}: new series are not in the totals")
        taken.unlink()
        worker.workers.read_own_values()
        assert {worker.calls(LONG.format(number)) for number in range(8)} == {(1.0,) * 4}
        count_call(LONG.format(7))
        assert set(worker.calls(LONG.format(7))) == {2.0}


@pytest.mark.parametrize("tmpfs", ["size=3m"], indirect=True)
def test_a_disk_that_is_full_while_workers_are_archived(
    tmpfs: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of the dead are read one by one meanwhile, nothing half-written is left, and it is said once."""
    with LocalWorker(tmpfs) as worker:
        with LocalWorker(tmpfs) as other:
            count_call()
            name = other.file_name
        taken = fill(tmpfs)
        caplog.clear()
        for _ in range(3):
            assert set(worker.calls()) == {2.0}
        [line] = caplog.messages
        assert line.startswith(f"workers that are gone cannot be archived in {tmpfs}: {FULL}; free some space")
        assert [path.name for path in tmpfs.iterdir() if path.suffix == ".new"] == []
        assert (tmpfs / name).exists()
        taken.unlink()
        assert set(worker.calls()) == {2.0}
        assert not (tmpfs / name).exists()


def test_a_folder_that_is_removed_and_comes_back(
    folder: Path, here: LocalWorker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This process goes on with its own numbers, and shares them all once the folder is there again."""
    monkeypatch.setattr(shared_file, "RETRY_INTERVAL", 0.0)
    with LocalWorker(folder):
        count_call()
        assert set(here.calls()) == {2.0}
    shutil.rmtree(folder)
    for _ in range(3):
        assert set(here.calls()) == {1.0}
    assert here.read("workers_counting_alone") == 1
    assert not folder.exists()
    folder.mkdir()
    count_call()
    here.workers.read_own_values()
    assert lines(caplog, folder) == [
        "cannot be used: No such file or directory; somebody has removed it or what was in it: create it again, and"
        " leave its files to the processes. This process counts alone: no other one shows its numbers, nor it theirs."
        " The folder is tried again every minute",
        "can be used again: this process's numbers are shared",
    ]
    with LocalWorker(folder) as other:
        assert set(here.calls()) == set(other.calls()) == {2.0}
        assert here.read("workers_counting_alone") == other.read("workers_counting_alone") == 0


@pytest.mark.parametrize("out_of_reach", ["renamed", "hidden by another"])
def test_a_folder_that_was_out_of_reach_has_nothing_twice(
    folder: Path, here: LocalWorker, tmp_path: Path, out_of_reach: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process continues in the file that it had; what it shared in another folder meanwhile is not in that one."""
    monkeypatch.setattr(shared_file, "RETRY_INTERVAL", 0.0)
    away = tmp_path / "away"
    with LocalWorker(folder) as other:
        count_call()
        assert set(here.calls()) == set(other.calls()) == {2.0}
        folder.rename(away)
        if out_of_reach == "hidden by another":
            folder.mkdir()
        count_call()
        shown = {*here.calls(), *other.calls()}
        assert shown <= {2.0, 4.0}
        shutil.rmtree(folder, ignore_errors=True)
        away.rename(folder)
        count_call()
        for _ in range(2):
            shown = {*here.calls(), *other.calls()}
        assert shown == {6.0}
    assert set(here.calls()) == {6.0}


def test_a_process_that_loses_the_right_to_look_into_the_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if os.geteuid() != 0:
        pytest.skip("another user is needed")

    def as_nobody() -> object:
        os.seteuid(NOBODY)
        with TemporaryDirectory() as parent, LocalWorker(Path(parent) / "workers") as worker:
            count_call()
            before = worker.calls()
            worker.workers.folder.chmod(0o300)
            count_call()
            after = worker.calls()
            worker.workers.folder.chmod(0o700)
            return {*before}, {*after}, lines(caplog, worker.workers.folder)[0].partition(": ")[2][:17]

    assert in_child(as_nobody) == "({1.0}, {2.0}, 'Permission denied')"


def test_a_forked_process_says_again_that_it_counts_alone(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What its parent said before was of another loss."""
    with LocalWorker(folder) as worker:
        shutil.rmtree(folder)
        worker.calls()
        assert len(lines(caplog, folder)) == 1
        folder.mkdir()

        def child() -> object:
            caplog.clear()
            worker.calls()
            shutil.rmtree(folder)
            worker.calls()
            return len(lines(caplog, folder)), worker.read("worker_file_faults_total", fault="unshared")

        assert in_child(child) == "(1, 1.0)"


def test_a_lack_of_descriptors_shows_the_last_totals_rather_than_less(folder: Path) -> None:
    """Less would look as if counters had begun anew."""

    def without_descriptors() -> object:
        with LocalWorker(folder) as worker:
            count_call()
            before = worker.calls()
            with LocalWorker(folder):
                count_call()
                soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
                resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
                during = worker.calls()
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                return {*before}, {*during}, {*worker.calls()}

    assert in_child(without_descriptors) == "({1.0}, {1.0}, {3.0})"


@pytest.mark.parametrize("size", [0, 5000])
def test_a_file_that_somebody_cuts_off_kills_no_process(
    size: int, folder: Path, caplog: pytest.LogCaptureFixture, faults: list[str]
) -> None:
    """Reading or writing cells that are not there would: neither the file's own process nor those that read it."""

    def cut_off() -> object:
        with LocalWorker(folder) as worker, LocalWorker(folder) as other:
            count_call()
            before = worker.calls()
            os.truncate(folder / other.file_name, size)
            other.workers.read_own_values()
            count_call()
            return {*before}, {*worker.calls()}, {*other.calls()}, faults[:1]

    assert in_child(cut_off) == "({2.0}, {2.0}, {2.0}, ['unshared'])"


def test_a_gauge_a_most_recent_value_and_an_exemplar_are_shown_alone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    workers = Workers(tmp_path / "file")
    depth, depths = workers.create_instruments(Gauge, "depth", "d", ["queue"], "livesum")
    left, lefts = workers.create_instruments(Gauge, "left", "l", ["who"], "livemostrecent")
    calls, total = workers.create_instruments(Counter, "calls", "c", ["who"], "total")
    depth.labels("a").set(2)
    depth.labels("b").set(3)
    left.labels("p").set(7)
    calls.labels("m").inc(1, {"trace_id": "t1"})

    def shown() -> list[tuple[str, float, object]]:
        workers.collect()
        families = [family for instrument in (depths, lefts, total) for family in instrument.collect()]
        samples = [sample for family in families for sample in family.samples]
        return [
            (*sample.labels.values(), sample.value, sample.exemplar and sample.exemplar.labels) for sample in samples
        ]

    assert shown() == [("a", 2, None), ("b", 3, None), ("p", 7, None), ("m", 1, {"trace_id": "t1"})]
    depth.remove("a")
    left.labels("p").set(6)
    assert shown() == [("b", 3, None), ("p", 6, None), ("m", 1, {"trace_id": "t1"})]
    workers.close()


def test_a_lock_of_an_archive_that_somebody_holds_for_ever_costs_nothing_but_the_archive(folder: Path) -> None:
    with LocalWorker(folder) as worker:
        with (folder / archive.LOCK_FILE).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with LocalWorker(folder):
                count_call()
            for _ in range(2):
                assert set(worker.calls()) == {2.0}
            archive.archive_dead(folder, report_file_fault, "sparklio")
        assert set(worker.calls()) == {2.0}


@pytest.mark.parametrize("folder", ["", " "])
def test_an_empty_folder_is_refused(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="would be the current directory: name a folder"):
        Workers(folder)
    assert not [*tmp_path.iterdir()]


def test_a_folder_is_whatever_the_system_takes_for_a_path(tmp_path: Path) -> None:
    class Place:
        def __fspath__(self) -> str:
            return str(tmp_path / "shared")

    folder: Any
    for folder in (Place(), str(tmp_path / "shared")):
        workers = Workers(folder)
        assert workers.folder == tmp_path / "shared"
        assert not workers.counts_alone
        workers.close()
    folder = 5
    with pytest.raises(TypeError, match="folder is a path, such as Path"):
        Workers(folder)
