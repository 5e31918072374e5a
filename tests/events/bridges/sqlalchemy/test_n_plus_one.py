"""N+1 detection: lazy loads are named, and repeated queries are counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session, selectinload

import events
from events.bridges.sqlalchemy import instrument
from events.bridges.sqlalchemy.n_plus_one import RepeatCounter
from tests.support.blog import User, create_blog


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    """Return an instrumented engine on a database of users with posts."""
    made = sa.create_engine(f"sqlite:///{tmp_path}/test.db")
    create_blog(made)
    with instrument(made):
        yield made
    made.dispose()


def test_an_agent_that_loads_row_by_row_repeats_its_query(engine: sa.Engine) -> None:
    """Twenty lazy loads, each named by its relationship; from the sixth on each is a repeat."""
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


def test_selectinload_neither_loads_lazily_nor_repeats(engine: sa.Engine) -> None:
    with (
        events.relationship_loaded.captured() as lazy,
        events.query_repeated.captured() as repeated,
        events.agent_run(agent_name="copywriter"),
        Session(engine) as session,
    ):
        for user in session.scalars(sa.select(User).options(selectinload(User.posts))):
            assert user.posts
    assert (lazy, repeated) == ([], [])


@pytest.mark.slow
def test_the_batches_of_one_load_and_of_one_insert_are_no_repeats(tmp_path: Path) -> None:
    """By 500 keys and by 1,000 rows at a time."""
    made = sa.create_engine(f"sqlite:///{tmp_path}/batches.db")
    create_blog(made)
    with (
        instrument(made),
        events.query_executed.captured() as executed,
        events.query_repeated.captured() as repeated,
        events.agent_run(agent_name="copywriter"),
        Session(made) as session,
    ):
        rows = [{"name": f"user {number}"} for number in range(10_000)]
        added = session.execute(sa.insert(User).returning(User.id), rows).all()
        assert len(added) == 10_000
        users = session.scalars(sa.select(User).options(selectinload(User.posts))).all()
        assert len(users) > 10_000
        sent = {table: sum(event.table == table for event in executed) for table in ("users", "posts")}
        assert sent["users"] > 10
        assert sent["posts"] > 20
        assert repeated == []
        for user in users[:9]:  # the same query row by row is one all the same
            session.expire(user, ["posts"])
            assert user.posts is not None
        assert len(repeated) >= 3
    made.dispose()


def test_in_lists_and_literals_do_not_hide_a_repeat(engine: sa.Engine) -> None:
    """Though each length and each literal is another text."""
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


def test_a_caller_with_very_many_statements_counts_the_first_thousand() -> None:
    """It may run for hours; those that are counted already are counted on."""
    counter = RepeatCounter()
    assert [counter.add(number) for number in range(1001)] == [1] * 1000 + [0]
    assert (counter.add(999), counter.add(1000)) == (2, 0)
