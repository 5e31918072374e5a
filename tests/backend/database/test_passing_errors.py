"""Errors that pass are told from those that do not, and a transaction is repeated until it succeeds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.database import is_passing, passing_errors, retry_passing
from tests.support.outages import locked


def sqlite_error(tmp_path: Path, *statements: str) -> DBAPIError:
    """Return the error of the last of these statements."""
    engine = create_engine(f"sqlite:///{tmp_path}/file.db", connect_args={"timeout": 0})
    try:
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))
    except DBAPIError as error:
        return error
    finally:
        engine.dispose()
    raise AssertionError("no statement failed")


def test_a_locked_file_passes(tmp_path: Path) -> None:
    with locked(tmp_path / "file.db"):
        assert is_passing(sqlite_error(tmp_path, "CREATE TABLE one (id)"))


def test_a_full_disk_passes(tmp_path: Path) -> None:
    statements = ("CREATE TABLE one (id)", "PRAGMA max_page_count = 2", "INSERT INTO one VALUES (zeroblob(100000))")
    error = sqlite_error(tmp_path, *statements)
    assert "full" in str(error.orig)
    assert is_passing(error)


def test_a_file_that_cannot_be_opened_passes(tmp_path: Path) -> None:
    (tmp_path / "file.db").mkdir()
    assert is_passing(sqlite_error(tmp_path, "SELECT 1"))


@pytest.mark.parametrize(
    "statements", [("SELECT * FROM missing",), ("CREATE TABLE one (id NOT NULL)", "INSERT INTO one VALUES (NULL)")]
)
def test_a_mistake_does_not_pass(tmp_path: Path, statements: tuple[str, ...]) -> None:
    assert not is_passing(sqlite_error(tmp_path, *statements))


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (psycopg.errors.AdminShutdown, True),
        (psycopg.errors.CannotConnectNow, True),
        (psycopg.errors.DiskFull, True),
        (psycopg.errors.TooManyConnections, True),
        (psycopg.errors.DeadlockDetected, True),
        (psycopg.errors.SerializationFailure, True),
        (psycopg.errors.LockNotAvailable, True),
        (psycopg.errors.ReadOnlySqlTransaction, True),
        (psycopg.OperationalError, True),  # a connection that cannot be made has no code
        (psycopg.errors.UndefinedTable, False),
        (psycopg.errors.UniqueViolation, False),
        (psycopg.errors.InvalidTextRepresentation, False),
    ],
)
def test_errors_of_postgresql_are_told_by_their_code(error: type[psycopg.Error], passing: bool) -> None:
    assert is_passing(OperationalError("SELECT", {}, error())) is passing


def test_other_errors_do_not_pass() -> None:
    assert not is_passing(RuntimeError())
    assert is_passing(PoolTimeoutError())


async def test_a_transaction_is_repeated_until_it_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passing_errors, "_FIRST_DELAY", 0.001)
    errors: list[Exception] = [OperationalError("COMMIT", {}, psycopg.errors.AdminShutdown()), PoolTimeoutError()]

    async def attempt() -> str:
        if errors:
            raise errors.pop()
        return "done"

    assert await retry_passing(attempt) == "done"


async def test_a_mistake_is_raised_at_once() -> None:
    async def attempt() -> None:
        raise ProgrammingError("SELECT", {}, psycopg.errors.UndefinedTable())

    with pytest.raises(ProgrammingError):
        await retry_passing(attempt)


async def test_a_stop_ends_the_wait_with_the_next_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passing_errors, "_FIRST_DELAY", 1000.0)
    stop, failed = asyncio.Event(), asyncio.Event()

    async def attempt() -> None:
        failed.set()
        raise PoolTimeoutError

    waiting = asyncio.create_task(retry_passing(attempt, stop))
    await failed.wait()
    stop.set()
    with pytest.raises(PoolTimeoutError):
        await waiting
