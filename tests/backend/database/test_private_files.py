"""Nobody but their owner reads the files of the studio's data."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.database import Database
from app.database.private_files import prepare
from app.settings import Settings


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(directory: Path) -> dict[str, str]:
    entries = [directory, *directory.iterdir()]
    return {entry.name: oct(stat.S_IMODE(entry.stat().st_mode)) for entry in entries}


async def test_new_files_and_those_that_sqlite_puts_beside_them_are_private(tmp_path: Path) -> None:
    data = tmp_path / "above" / "data"
    database = Database(Settings(data_dir=data))
    await database.upgrade()
    async with database.writing() as session:
        await session.connection()
        seen = modes(data)
    await database.close()
    assert (seen.pop("data"), seen.pop("executors")) == ("0o700", "0o700")
    assert {"studio.db", "studio.db-wal", "studio.db-shm", "studio.workflows.db"} <= seen.keys()
    assert set(seen.values()) == {"0o600"}


def test_files_of_an_earlier_version_become_private(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "executors").mkdir(parents=True)
    for name in ("studio.db", "studio.db-wal", "studio.workflows.db"):
        (data / name).touch(0o644)
    prepare(Settings(data_dir=data))
    assert modes(data) == {
        "data": "0o700", "executors": "0o700", "studio.db": "0o600", "studio.db-wal": "0o600",
        "studio.workflows.db": "0o600",
    }  # fmt: skip


def test_a_directory_with_files_of_others_keeps_its_mode(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "letter.txt").touch()
    tmp_path.chmod(0o755)
    prepare(Settings(data_dir=tmp_path / "data", database_url=f"sqlite:///{tmp_path}/my.db"))
    seen = modes(tmp_path)
    assert (seen.pop("data"), modes(tmp_path / "data")["executors"]) == ("0o700", "0o700")
    assert seen == {tmp_path.name: "0o755", "letter.txt": "0o644", "my.db": "0o600", "my.workflows.db": "0o600"}
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_mode_that_is_stricter_stays(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(0o700)
    (data / "studio.db").touch(0o400)
    prepare(Settings(data_dir=data))
    assert modes(data)["studio.db"] == "0o400"


def test_on_postgresql_the_directory_is_private(tmp_path: Path) -> None:
    prepare(Settings(data_dir=tmp_path / "data", database_url="postgresql://h/d"))
    assert modes(tmp_path / "data") == {"data": "0o700", "executors": "0o700"}
