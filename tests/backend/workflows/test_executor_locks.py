"""Executor ids: never shared by living processes, the same after a restart."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from app.workflows import executor_locks


def test_living_processes_never_share_an_executor_id(tmp_path: Path) -> None:
    first, second = executor_locks.acquire(tmp_path), executor_locks.acquire(tmp_path)
    assert first.executor_id == f"{executor_locks.host_name()}-0"
    assert second.executor_id == f"{executor_locks.host_name()}-1"
    first.release()
    second.release()


def test_the_executor_id_is_the_same_after_a_restart(tmp_path: Path) -> None:
    before = executor_locks.acquire(tmp_path)
    before.release()
    after = executor_locks.acquire(tmp_path)
    assert after.executor_id == before.executor_id
    after.release()


def test_the_executor_id_of_a_killed_process_is_free(tmp_path: Path) -> None:
    """The kernel drops the lock: nothing has to be cleaned up."""
    program = (
        "import sys, pathlib; from app.workflows import executor_locks; "
        "executor_locks.acquire(pathlib.Path(sys.argv[1])); print('acquired', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "acquired\n"
        name = f"{executor_locks.host_name()}-0"
        with executor_locks.lock_if_dead(tmp_path, name) as gone:
            assert not gone
        os.kill(other.pid, signal.SIGKILL)
    with executor_locks.lock_if_dead(tmp_path, name) as gone:
        assert gone


def test_an_executor_of_another_machine_is_not_dead(tmp_path: Path) -> None:
    """It may live on another machine; and a name is no way out of the directory."""
    (tmp_path / "outside.lock").touch()
    inside = tmp_path / "executors"
    inside.mkdir()
    for name in ("elsewhere-0", "../outside", ""):
        with executor_locks.lock_if_dead(inside, name) as gone:
            assert not gone
        assert not executor_locks.has_lock_file(inside, name)


def test_each_start_has_an_id_of_its_own_where_hosts_share_a_database(tmp_path: Path) -> None:
    first = executor_locks.acquire_unique(tmp_path, "host-a", version="1")
    first.release()
    second = executor_locks.acquire_unique(tmp_path, "host-a", version="2")
    assert first.executor_id != second.executor_id
    assert all(map(executor_locks.is_unique, (first.executor_id, second.executor_id)))
    assert not executor_locks.is_unique("host-a-0")
    with executor_locks.lock_if_dead(tmp_path, first.executor_id) as gone:
        assert gone
    with executor_locks.lock_if_dead(tmp_path, second.executor_id) as gone:
        assert not gone
    assert executor_locks.ids_in(tmp_path) == sorted([first.executor_id, second.executor_id])
    assert executor_locks.version_of(tmp_path, second.executor_id) == "2"
    second.release()
    executor_locks.remove(tmp_path, second.executor_id)
    assert executor_locks.ids_in(tmp_path) == [first.executor_id]


def test_a_free_lock_of_another_boot_says_nothing(tmp_path: Path) -> None:
    """The folder may be a copy, and its process live on the machine that it was copied from."""
    lock = executor_locks.acquire_unique(tmp_path, "host-a")
    lock.release()
    file = tmp_path / f"{lock.executor_id}.lock"
    file.write_text(json.dumps({**json.loads(file.read_text()), "boot": "another"}))
    with executor_locks.lock_if_dead(tmp_path, lock.executor_id) as gone:
        assert not gone
    with executor_locks.lock_if_free(tmp_path, lock.executor_id) as free:
        assert free


def test_a_free_lock_in_a_copy_of_the_folder_says_nothing(tmp_path: Path) -> None:
    """Its process may live in the folder that was copied, as that of a container whose volume was cloned."""
    original, copy = tmp_path / "original", tmp_path / "copy"
    lock = executor_locks.acquire_unique(original, "host-a")
    shutil.copytree(original, copy)
    with executor_locks.lock_if_dead(copy, lock.executor_id) as gone:
        assert not gone
    with executor_locks.lock_if_free(copy, lock.executor_id) as free:
        assert free
    lock.release()
    moved = original.rename(tmp_path / "moved")
    with executor_locks.lock_if_dead(moved, lock.executor_id) as gone:
        assert gone


def test_a_lock_file_of_an_earlier_release_names_no_version(tmp_path: Path) -> None:
    (tmp_path / "host-0.lock").touch()
    assert executor_locks.version_of(tmp_path, "host-0") is None
    assert executor_locks.version_of(tmp_path, "host-1") is None
    with executor_locks.lock_if_dead(tmp_path, "host-0") as gone:
        assert gone
