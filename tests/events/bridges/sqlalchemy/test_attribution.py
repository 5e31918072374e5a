"""Who asked the database, how often, and whether it need have asked that often."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

import events
from events.bridges.asgi import HTTPEventsMiddleware
from events.bridges.sqlalchemy import instrument
from events.bridges.sqlalchemy.sql.literals import without_literals


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    posts: Mapped[list[Post]] = relationship()


class Post(Base):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    made = sa.create_engine(f"sqlite:///{tmp_path}/test.db")
    Base.metadata.create_all(made)
    with Session(made) as session, session.begin():
        session.add_all(User(id=number, posts=[Post(user_id=number)]) for number in range(20))
    with instrument(made):
        yield made
    made.dispose()


def test_an_agent_that_asks_row_by_row_is_told(engine: sa.Engine) -> None:
    """Twenty lazy loads: each named by its relationship; from the sixth on each is a repetition."""
    with (
        events.relationship_loaded.captured() as lazy,
        events.query_repeated.captured() as repeated,
        events.database_used.captured() as used,
    ):
        with events.agent_run(agent_name="copywriter"), Session(engine) as session:
            for user in session.scalars(sa.select(User)):
                assert user.posts
        (account,) = used
    assert {(event.relationship, event.scope, event.agent_name) for event in lazy} == {
        ("User.posts", "agent", "copywriter")
    }
    assert len(lazy) == 20
    assert [(event.scope, event.table) for event in repeated] == [("agent", "posts")] * 15
    assert (account.scope, account.queries, account.agent_name) == ("agent", 21, "copywriter")
    assert account.duration > 0


def test_the_cure_is_not_told(engine: sa.Engine) -> None:
    with (
        events.relationship_loaded.captured() as lazy,
        events.query_repeated.captured() as repeated,
        events.agent_run(agent_name="copywriter"),
        Session(engine) as session,
    ):
        for user in session.scalars(sa.select(User).options(selectinload(User.posts))):
            assert user.posts
    assert (lazy, repeated) == ([], [])


def test_lists_and_literals_do_not_hide_a_repetition(engine: sa.Engine) -> None:
    """An IN list is another text each time, and so is SQL that was put together."""
    with (
        events.query_repeated.captured() as repeated,
        events.agent_run(agent_name="copywriter"),
        engine.connect() as connection,
    ):
        for number in range(9):
            connection.execute(sa.select(User.id).where(User.id.in_(range(number))))
        assert len(repeated) == 4
        for number in range(9):
            connection.exec_driver_sql(f"select * from users where id = {number}")
    assert [event.table for event in repeated] == ["users"] * 8


def test_each_stretch_of_work_is_told_and_the_outer_has_what_the_inner_asked(engine: sa.Engine) -> None:
    def ask() -> None:
        with engine.connect() as connection:
            connection.execute(sa.select(User)).all()

    with events.database_used.captured() as used:
        with events.workflow_run.scope(run_id="r1", workflow_type="campaign"):
            ask()
            with events.agent_run(agent_name="copywriter"):
                ask()
            with events.agent_run(agent_name="reviewer"):
                pass
        ask()
    assert [(event.scope, event.queries, event.run_id) for event in used] == [("agent", 1, "r1"), ("workflow", 2, "r1")]


async def test_a_request_is_told_by_the_middleware(engine: sa.Engine) -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        with engine.connect() as connection:
            connection.execute(sa.select(User)).all()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def nothing(*_: Any) -> Any:
        return {"type": "http.request"}

    with events.database_used.captured() as used, events.connection_released.captured() as released:
        await HTTPEventsMiddleware(app)({"type": "http", "method": "GET", "path": "/", "headers": []}, nothing, nothing)
    assert [(event.scope, event.queries) for event in used] == [("http", 1)]
    assert [event.scope for event in released] == ["http"]


def test_work_left_behind_adds_to_nothing(engine: sa.Engine) -> None:
    """A background task still has the context of the agent that started it, which has ended."""
    import contextvars

    with events.database_used.captured() as used, engine.connect() as connection:
        with events.agent_run(agent_name="copywriter"):
            context = contextvars.copy_context()
        with events.connection_released.captured():
            context.run(connection.execute, sa.select(User))
    assert used == []


def test_a_slow_statement_is_logged_without_what_it_was_given(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """SQL and who asked stand in the log; literals stand nowhere."""
    made = sa.create_engine(f"sqlite:///{tmp_path}/slow.db")
    with (
        instrument(made, slow_seconds=0.0),
        caplog.at_level(logging.WARNING, logger="events.sql"),
        events.query_executed.captured() as seen,
        events.workflow_run.scope(run_id="r1", workflow_type="campaign"),
        events.agent_run(agent_name="copywriter"),
        made.connect() as connection,
    ):
        connection.execute(sa.text("select 'it''s secret', 42, :name"), {"name": "hidden"})
    made.dispose()
    assert [event.slow for event in seen] == [True]
    (line,) = caplog.messages
    assert "agent copywriter, run r1" in line
    assert "select ?, ?, ?" in line
    assert not any(word in line for word in ("secret", "42", "hidden"))


def test_rows_and_compiling_are_told_where_they_are_known(engine: sa.Engine) -> None:
    with events.query_executed.captured() as seen, engine.begin() as connection:
        connection.execute(sa.update(User).where(User.id < 3).values(id=User.id))
        connection.execute(sa.update(User).where(User.id < 5).values(id=User.id))
        connection.execute(sa.select(User.id)).all()
        connection.exec_driver_sql("select 1")
    assert [event.rows for event in seen] == [3, 5, None, None]
    assert [event.cache for event in seen] == ["miss", "hit", "miss", "none"]


@pytest.mark.parametrize(
    ("statement", "blanked"),
    [
        ("select 'a''b', 1.5, t1.x from t1 where n = 7", "select ?, ?, t1.x from t1 where n = ?"),
        (r"select E'it\'s secret', 'it\'s secret', 'a\', 'secret'", "select ?, ?, ?, ?"),
        ("select $$secret$$, $a$it's $$ secret$a$, x from t", "select ?, ?, x from t"),
        ("select 0xdeadbeef, -1e-5, x", "select ?, -?, x"),
        ("insert into t values ('never closed, secret", "insert into t values (?"),
        ("update t set a = '', b = 'secret'", "update t set a = ?, b = ?"),
    ],
)
def test_literals_are_blanked(statement: str, blanked: str) -> None:
    assert without_literals(statement) == blanked


def test_a_literal_is_not_logged_by_halves(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is logged is cut after it was blanked, so that no quote that would have closed is missing."""
    made = sa.create_engine(f"sqlite:///{tmp_path}/slow.db")
    with (
        instrument(made, slow_seconds=0.0),
        caplog.at_level(logging.WARNING, logger="events.sql"),
        made.connect() as connection,
    ):
        connection.exec_driver_sql(f"select '{'secret ' * 5000}'")
    made.dispose()
    assert [message.rsplit(": ", 1)[1] for message in caplog.messages] == ["select ?"]
