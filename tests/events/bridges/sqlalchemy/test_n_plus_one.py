"""N+1 detection: lazy loads are named, and repeated queries are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, selectin_polymorphic, selectinload

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


def in_list(connection: sa.Connection, number: int) -> object:
    return connection.execute(sa.select(User.id).where(User.id.in_(range(number))))


def text_literal(connection: sa.Connection, number: int) -> object:
    return connection.execute(sa.text(f"select * from users where id = {number}"))


def text_string(connection: sa.Connection, number: int) -> object:
    return connection.execute(sa.text(f"select * from users where 'user {number}' <> id"))


def text_parameter(connection: sa.Connection, number: int) -> object:
    return connection.execute(sa.text("select * from users where id = :id"), {"id": number})


def text_in_list(connection: sa.Connection, number: int) -> object:
    ids = ", ".join(str(each) for each in range(number + 1))
    return connection.execute(sa.text(f"select * from users where id in ({ids})"))


def text_expanding(connection: sa.Connection, number: int) -> object:
    statement = sa.text("select * from users where id in :ids").bindparams(sa.bindparam("ids", expanding=True))
    return connection.execute(statement, {"ids": list(range(number))})


def driver_literal(connection: sa.Connection, number: int) -> object:
    return connection.exec_driver_sql(f"select * from users where id = {number}")


def driver_in_list(connection: sa.Connection, number: int) -> object:
    marks = ", ".join("?" * (number + 1))
    return connection.exec_driver_sql(f"select * from users where id in ({marks})", tuple(range(number + 1)))


def written_literal(connection: sa.Connection, number: int) -> object:
    return connection.execute(sa.select(User.id).where(sa.text(f"id = {number}")))


@pytest.mark.parametrize(
    "send",
    [
        in_list,
        text_literal,
        text_string,
        text_parameter,
        text_in_list,
        text_expanding,
        driver_literal,
        driver_in_list,
        written_literal,
    ],
)
def test_literals_and_in_lists_do_not_hide_a_repeat(
    send: Callable[[sa.Connection, int], object], engine: sa.Engine
) -> None:
    """However the statement is sent, though each literal and each length is another text."""
    with (
        events.query_repeated.captured() as repeated,
        events.agent_run(agent_name="copywriter"),
        engine.connect() as connection,
    ):
        for number in range(9):
            send(connection, number)
    assert [event.table for event in repeated] == ["users"] * 4


def test_other_columns_and_other_engines_are_other_statements(engine: sa.Engine, tmp_path: Path) -> None:
    """As one that is sent to each of many databases once."""
    made = [sa.create_engine(f"sqlite:///{tmp_path}/test.db") for _ in range(8)]
    with (
        events.query_repeated.captured() as repeated,
        events.agent_run(agent_name="copywriter"),
        ExitStack() as stack,
        engine.connect() as connection,
    ):
        for number in range(8):
            connection.execute(sa.text(f"select id as id_{number} from users"))
        for other in made:
            stack.enter_context(instrument(other))
            with other.connect() as connected:
                connected.execute(sa.text("select id from users"))
                connected.exec_driver_sql("select count(*) from users")
    assert repeated == []
    for other in made:
        other.dispose()


class Animals(DeclarativeBase):
    pass


class Animal(Animals):
    __tablename__ = "animals"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012 - as SQLAlchemy has it
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]


class Cat(Animal):
    __tablename__ = "cats"
    __mapper_args__ = {"polymorphic_identity": "cat"}  # noqa: RUF012 - as SQLAlchemy has it
    id: Mapped[int] = mapped_column(sa.ForeignKey("animals.id"), primary_key=True)
    name: Mapped[str] = mapped_column(default="Tom")


ANIMALS: Any = Animal.__table__
CATS: Any = Cat.__table__


def test_selectin_polymorphic_does_not_repeat(engine: sa.Engine) -> None:
    """By 500 objects at a time; what is loaded of each object by itself does."""
    Animals.metadata.create_all(engine)
    with engine.begin() as connection:
        numbers = [{"id": number, "kind": "cat", "name": "Tom"} for number in range(3_500)]
        connection.execute(sa.insert(ANIMALS), numbers)
        connection.execute(sa.insert(CATS), numbers)
    with (
        events.query_repeated.captured() as repeated,
        events.query_executed.captured() as executed,
        events.agent_run(agent_name="vet"),
        Session(engine) as session,
    ):
        session.scalars(sa.select(Animal).options(selectin_polymorphic(Animal, [Cat]))).all()
        assert len(executed) == 8
        assert repeated == []
        session.expunge_all()
        for animal in session.scalars(sa.select(Animal).limit(9)):
            assert isinstance(animal, Cat)
            assert animal.name == "Tom"
    assert len(repeated) == 4


def test_a_caller_with_very_many_statements_counts_the_first_thousand() -> None:
    """It may run for hours; those that are counted already are counted on."""
    counter = RepeatCounter()
    assert [counter.add(number) for number in range(1001)] == [1] * 1000 + [0]
    assert (counter.add(999), counter.add(1000)) == (2, 0)
