"""Statements are timed around the dialect's methods, which others may call, listen to and replace. On SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
import sqlalchemy as sa

import events
from events import QueryExecuted
from events.bridges.sqlalchemy import instrument

HOOKS = ("do_execute", "do_executemany", "do_execute_no_params")
USERS = sa.Table(
    "users", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(40), unique=True)
)
OVERFLOW = "select 1 union all select abs(-9223372036854775808)"
"""Its second row cannot be computed, which is found as the first is fetched."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    made = sa.create_engine(f"sqlite:///{tmp_path}/test.db")
    USERS.metadata.create_all(made)
    yield made
    made.dispose()


def operations(seen: list[QueryExecuted]) -> list[tuple[str, str]]:
    return [(event.operation, event.table) for event in seen]


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("by", ["the dialect", "itself"])
@pytest.mark.parametrize("executes", ["", "before", "after"])
def test_other_listeners_to_executions_are_called_too(engine: sa.Engine, hook: str, by: str, executes: str) -> None:
    """Each statement is sent once, and emitted if it was executed by the dialect, whoever called that."""
    called: list[str] = []

    def listen(name: str, cursor: Any, statement: str, *more: Any) -> bool:
        called.append(name)
        if name == executes and by == "itself":
            (cursor.executemany if hook == "do_executemany" else cursor.execute)(statement, *more[:-1])
        elif name == executes:
            getattr(engine.dialect, hook)(cursor, statement, *more)
        return name == executes

    sa.event.listen(engine, hook, partial(listen, "before"))
    with instrument(engine), engine.connect() as connection, events.query_executed.captured() as seen:
        sa.event.listen(engine, hook, partial(listen, "after"))
        rows = [{"name": "a"}, {"name": "b"}] if hook == "do_executemany" else None
        names = "'x'" if rows is None else ":name"
        changed = connection.execution_options(no_parameters=hook == "do_execute_no_params")
        changed.execute(sa.text(f"insert into users (name) values ({names})"), rows)
        sent = connection.scalar(sa.select(sa.func.count()).where(USERS.c.name.in_(["x", "a", "b"])))
    assert set(called) == ({"before"} if executes == "before" else {"before", "after"})
    assert sent == (1 if rows is None else 2)
    assert operations(seen).count(("insert", "users")) == (0 if executes and by == "itself" else 1)


def execute_by(hook: str, connection: sa.Connection) -> None:
    """Execute an INSERT by one of the dialect's methods."""
    is_many = hook == "do_executemany"
    changed = connection.execution_options(no_parameters=hook == "do_execute_no_params")
    name = ":name" if is_many else "'c'"
    rows = [{"name": "a"}, {"name": "b"}] if is_many else None
    changed.execute(sa.text(f"insert or replace into users (name) values ({name})"), rows)


@pytest.mark.parametrize(("hook", "executions"), [("do_executemany", 2), ("do_execute_no_params", 1)])
def test_a_dialect_that_executes_by_another_method_of_its_own_has_each_statement_emitted_once(
    engine: sa.Engine, hook: str, executions: int
) -> None:
    def by_do_execute(cursor: Any, statement: str, *parameters_and_context: Any) -> None:
        *parameters, context = parameters_and_context
        for one in parameters[0] if parameters else [()]:
            engine.dialect.do_execute(cursor, statement, one, context=context)

    setattr(engine.dialect, hook, by_do_execute)
    with instrument(engine), engine.connect() as connection, events.query_executed.captured() as seen:
        for _ in range(3):  # it has a plan from the second on
            execute_by(hook, connection)
    assert operations(seen) == 3 * executions * [("insert", "users")]
    assert getattr(engine.dialect, hook) is by_do_execute


def test_a_dialect_whose_way_of_executing_is_its_own_is_asked_to(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of other databases may be; the one of SQLAlchemy only calls the cursor, which is done in its place."""
    executed: list[str] = []

    def do_execute(cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        executed.append(statement)
        cursor.execute(statement, parameters)

    monkeypatch.setattr(engine.dialect, "do_execute", do_execute)
    with instrument(engine), engine.connect() as connection, events.query_executed.captured() as seen:
        assert connection.scalar(sa.text("select 1")) == 1
    assert executed == ["select 1"]
    assert operations(seen) == [("select", "none")]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_method_is_called_as_the_dialect_defines_it_without_a_context_too(engine: sa.Engine, hook: str) -> None:
    """A dialect's own code may do that, with names or without; nothing is emitted, and what is returned is kept."""
    parameters: dict[str, Any] = {"do_execute": {"parameters": ()}, "do_executemany": {"parameters": [()]}}
    more = parameters.get(hook, {})
    returned = object()

    def executing(*_: Any, **__: Any) -> object:
        return returned

    setattr(engine.dialect, hook, executing)
    with instrument(engine), events.query_executed.captured() as seen:
        assert getattr(engine.dialect, hook)(cursor=None, statement="select 1", **more) is returned
        assert getattr(engine.dialect, hook)(None, "select 1", *more.values(), context=None) is returned
    assert seen == []


@pytest.mark.parametrize("hook", HOOKS)
def test_a_wrapper_that_was_wrapped_emits_nothing_once_the_handle_is_closed(engine: sa.Engine, hook: str) -> None:
    handle = instrument(engine)
    setattr(engine.dialect, hook, partial(getattr(engine.dialect, hook)))
    with engine.connect() as connection, events.query_executed.captured() as seen:
        for _ in range(3):
            execute_by(hook, connection)
        handle.close()
        execute_by(hook, connection)
    assert operations(seen) == 3 * [("insert", "users")]


def test_a_dialect_method_that_is_replaced_later_is_called_while_it_is_in_place(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not called any more once it is gone."""
    statements: list[str] = []
    with instrument(engine), engine.connect() as connection:
        plain = engine.dialect.do_execute

        def recording(cursor: Any, statement: str, *more: Any) -> None:
            statements.append(statement)
            plain(cursor, statement, *more)

        with monkeypatch.context() as patched:
            patched.setattr(engine.dialect, "do_execute", recording)
            connection.execute(sa.text("select 1"))
        connection.execute(sa.text("select 2"))
    assert statements == ["select 1"]


def test_a_failure_after_a_statement_was_sent_again_is_one_of_the_fetch(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What sends it again has caught the first error: it says nothing of the statement that was answered then."""
    with (
        instrument(engine),
        engine.connect() as connection,
        events.query_executed.captured() as seen,
        events.database_failed.captured() as failed,
    ):
        timed = engine.dialect.do_execute

        def send_again(cursor: Any, statement: str, *more: Any) -> None:
            with pytest.raises(sqlite3.OperationalError):
                timed(cursor, "select * from nowhere", *more)
            timed(cursor, statement, *more)

        monkeypatch.setattr(engine.dialect, "do_execute", send_again)
        with pytest.raises(sa.exc.OperationalError, match="integer overflow"):
            connection.execute(sa.text(OVERFLOW)).all()
    assert [(event.operation, event.error) for event in seen] == [("select", "")]
    assert [event.phase for event in failed] == ["fetch"]


@pytest.mark.parametrize("keeps", ["cause", "context"])
def test_an_error_that_is_raised_in_place_of_the_drivers_is_one_of_the_execution(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch, keeps: str
) -> None:
    with (
        instrument(engine),
        engine.connect() as connection,
        events.query_executed.captured() as seen,
        events.database_failed.captured() as failed,
    ):
        timed = engine.dialect.do_execute

        def translating(*arguments: Any) -> None:
            try:
                timed(*arguments)
            except sqlite3.OperationalError as error:
                raise sqlite3.DatabaseError("gone") from (error if keeps == "cause" else error.__context__)

        monkeypatch.setattr(engine.dialect, "do_execute", translating)
        with pytest.raises(sa.exc.DatabaseError, match="gone"):
            connection.execute(sa.text("select * from nowhere"))
    assert [(event.operation, event.error) for event in seen] == [("select", "DatabaseError")]
    assert [event.phase for event in failed] == ["execute"]


@pytest.mark.parametrize("is_own", [True, False])
def test_errors_that_lead_to_each_other_are_looked_through_once(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch, is_own: bool
) -> None:
    """An error that is raised from one that came of it is in a circle, which is the statement's or not."""
    with (
        instrument(engine),
        engine.connect() as connection,
        events.query_executed.captured() as seen,
        events.database_failed.captured() as failed,
    ):
        timed = engine.dialect.do_execute

        def failing_in_a_circle(cursor: Any, statement: str, *more: Any) -> None:
            with suppress(sqlite3.OperationalError):
                timed(cursor, "select * from nowhere", *more)
            first = sqlite3.DatabaseError("first")
            try:
                try:
                    if is_own:
                        timed(cursor, "select * from nowhere", *more)
                    raise first
                except sqlite3.Error as error:
                    raise LookupError from error
            except LookupError as second:
                raise first from second

        monkeypatch.setattr(engine.dialect, "do_execute", failing_in_a_circle)
        with pytest.raises(sa.exc.DatabaseError, match="first"):
            connection.execute(sa.text("select 1"))
    assert [event.phase for event in failed] == ["execute" if is_own else "compile"]
    assert [event.error for event in seen] == (["DatabaseError"] if is_own else [])


def test_the_duration_of_a_failure_is_of_the_statement_that_failed(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of those that a dialect sent before it, of the same ``executemany``."""

    def by_do_execute(cursor: Any, statement: str, parameters: Any, context: Any) -> None:
        for one in parameters:
            engine.dialect.do_execute(cursor, statement, one, context)

    monkeypatch.setattr(engine.dialect, "do_executemany", by_do_execute)
    with instrument(engine), engine.connect() as connection, events.query_executed.captured() as seen:
        with pytest.raises(sa.exc.IntegrityError):
            connection.execute(sa.text("insert into users (name) values (:name)"), [{"name": "a"}] * 2)
        began = perf_counter()
        seen_before = len(seen)
        with pytest.raises(sa.exc.IntegrityError):
            connection.execute(
                sa.text("insert into users (name) values (coalesce(:name, 'a'))"),
                [*({"name": f"{i}"} for i in range(2000)), {"name": None}],
            )
        lasted = perf_counter() - began
    assert [event.error for event in seen[:seen_before]] == ["", "IntegrityError"]
    assert seen[-1].error == "IntegrityError"
    assert sum(event.duration for event in seen[seen_before:]) <= lasted
