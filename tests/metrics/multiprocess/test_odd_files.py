"""Whatever lies in the workers' folder under the name of a worker's file: it is named, and nothing waits for it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest

from events.bus.log_throttle import LogThrottle
from metrics.multiprocess.file_layout import SUFFIX, archive_name
from tests.support.counter_worker import LocalWorker, count_call
from tests.support.users import as_nobody

pytestmark = pytest.mark.timeout(20)  # nothing waits: a FIFO without a writer would for ever


@pytest.fixture(autouse=True)
def fresh_log_throttle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what was logged a moment ago, for another test."""
    monkeypatch.setattr("metrics.multiprocess.fault_reports._throttle", LogThrottle())
    monkeypatch.setattr("metrics.multiprocess.archive._throttle", LogThrottle())


def bind_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound, chdir(path.parent):  # the path of a socket is short
        bound.bind(path.name)


def link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


ODD: dict[str, Callable[[Path], object]] = {
    "folder": Path.mkdir,
    "FIFO": os.mkfifo,
    "socket": bind_socket,
    "dangling link": link_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to a folder": link_to("."),
    "link to a device": link_to("/dev/zero"),
}


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_file_is_named_once_and_left_where_it_is(
    kind: str, folder: Path, here: LocalWorker, faults: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    odd = folder / f"123-456-789{SUFFIX}"
    ODD[kind](odd)
    count_call()
    for _ in range(3):
        assert set(here.calls()) == {1.0}
    assert faults == ["unreadable"]
    [message] = [each for each in caplog.messages if "worker's file" in each]
    assert message.startswith(f"{odd} has the name of a worker's file")
    assert "Remove it" in message
    assert odd.is_symlink() or odd.exists()
    with LocalWorker(folder) as another:  # which archives those that are gone as it begins
        assert set(another.calls()) == {1.0}


@pytest.fixture
def secret(folder: Path, here: LocalWorker) -> Path:
    """Return a file that nobody but root may read."""
    here.calls()  # its own file is open
    path = folder / f"123-456-789{SUFFIX}"
    path.write_bytes(here.file_name.encode())
    path.chmod(0)
    folder.chmod(0o755)
    folder.parent.chmod(0o755)
    return path


def test_a_file_that_may_not_be_read_is_named(
    secret: Path, here: LocalWorker, faults: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with as_nobody():
        count_call()
        assert set(here.calls()) == {1.0}
    assert faults == ["unreadable"]
    assert caplog.messages[-1].startswith(f"{secret} has the name")
    assert "let this process's user read it" in caplog.messages[-1]


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become another user")
def test_a_process_that_may_no_longer_read_its_own_file_counts_alone(
    folder: Path, here: LocalWorker, caplog: pytest.LogCaptureFixture
) -> None:
    """As one that subscribed before its server took another user."""
    count_call()
    for path in (folder, folder.parent):
        path.chmod(0o755)
    with as_nobody():
        assert set(here.calls()) == {1.0}
    assert f"{here.workers.folder} cannot be used: " in caplog.messages[-1]
    assert "Permission denied; let this process's user write there" in caplog.messages[-1]


@pytest.mark.parametrize("kind", ["FIFO", "dangling link", "folder"])
@pytest.mark.parametrize("name", ["archive", "archive being written", "lock"])
def test_what_stands_in_the_place_of_the_archive_stops_nothing(
    kind: str, name: str, folder: Path, faults: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder.mkdir()
    archive = folder / archive_name("sparklio")
    path = {"archive": archive, "archive being written": archive.with_suffix(".new"), "lock": folder / "folding.lock"}
    ODD[kind](path[name])
    with LocalWorker(folder) as worker:
        count_call()
        with LocalWorker(folder):
            pass  # it is gone, and to be archived
        assert set(worker.calls()) == {1.0}
    if (kind, name) in {("folder", "archive"), ("folder", "lock")}:
        assert any(
            f"{path[name].name}: Is a directory; that is a folder: remove it" in each for each in caplog.messages
        )
