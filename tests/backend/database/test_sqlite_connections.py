"""The state of a SQLite file tells every change of its database, or that it cannot be known."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from time import time

import pytest

from app.database import file_state
from tests.support.sqlite_files import let_settle


@pytest.fixture(params=["wal", "delete"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A database with a table, which somebody has open; by each way of writing."""
    file = tmp_path / "studio.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA journal_mode = {request.param}")
        connection.execute("CREATE TABLE counted (number INTEGER)")
        connection.execute("INSERT INTO counted VALUES (1)")
        connection.commit()
        let_settle(file)
        yield file


def execute(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(statement)
        connection.commit()


def replace(file: Path) -> None:
    other = file.with_name("other.db")
    other.write_bytes(file.read_bytes())
    other.rename(file)


def test_a_database_that_is_only_read_keeps_its_state(file: Path) -> None:
    state = file_state(file)
    assert state is not None
    execute(file, "SELECT * FROM counted")
    assert file_state(file) == state


@pytest.mark.parametrize(
    "change",
    [
        lambda file: execute(file, "UPDATE counted SET number = 2"),
        lambda file: execute(file, "INSERT INTO counted VALUES (2)"),
        lambda file: execute(file, "DROP TABLE counted"),
        lambda file: execute(file, "PRAGMA user_version = 7"),
        replace,
    ],
    ids=["update", "insert", "drop", "header", "replaced"],
)
def test_each_change_is_another_state(file: Path, change: Callable[[Path], None]) -> None:
    state = file_state(file)
    change(file)
    assert file_state(file) != state
    let_settle(file, seconds=30)
    assert file_state(file) not in {state, None}


def test_a_change_that_is_not_past_is_not_relied_on(file: Path) -> None:
    """A second one may come with the same time: a kernel's clock of files ticks a few hundred times a second."""
    execute(file, "UPDATE counted SET number = 2")
    assert file_state(file) is None
    let_settle(file, seconds=1.9)
    assert file_state(file) is None
    let_settle(file, seconds=3)
    assert file_state(file) is not None


def test_a_change_by_a_clock_that_was_ahead_is_relied_on(file: Path) -> None:
    os.utime(file, (time() + 3600, time() + 3600))
    state = file_state(file)
    assert state is not None
    execute(file, "UPDATE counted SET number = 2")
    assert file_state(file) != state


def test_a_file_that_is_gone_has_no_state(tmp_path: Path) -> None:
    assert file_state(tmp_path / "studio.db") is None
