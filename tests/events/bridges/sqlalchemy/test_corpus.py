"""Sixty-nine statements of the ORM, of Core and of text, with the operation and the table of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, aliased, joinedload, mapped_column, relationship

import events
from events.bridges.sqlalchemy import instrument

pytestmark = pytest.mark.slow


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(40))
    posts: Mapped[list[Post]] = relationship(back_populates="user")


class Post(Base):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))
    title: Mapped[str] = mapped_column(sa.String(40))
    user: Mapped[User] = relationship(back_populates="posts")


class Animal(Base):
    __tablename__ = "animals"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(20))
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012 - as the ORM wants it


class Dog(Animal):
    __tablename__ = "dogs"
    id: Mapped[int] = mapped_column(sa.ForeignKey("animals.id"), primary_key=True)
    bark: Mapped[str] = mapped_column(sa.String(20))
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012 - the same


class Item(Base):
    __tablename__ = "items"
    __table_args__ = {"schema": "sch"}  # noqa: RUF012 - the same
    id: Mapped[int] = mapped_column(primary_key=True)


class OrderItem(Base):
    __tablename__ = "Order Items"
    id: Mapped[int] = mapped_column(primary_key=True)


USERS: Any = User.__table__
POSTS: Any = Post.__table__
FIRST = sa.select(POSTS.c.id, POSTS.c.user_id).where(POSTS.c.id == 1).cte("tree", recursive=True)
NEXT = (POSTS.c.user_id == FIRST.c.id) & (POSTS.c.id > 99999)
TREE = FIRST.union_all(sa.select(POSTS.c.id, POSTS.c.user_id).join(FIRST, NEXT))
RECENT = sa.select(POSTS.c.user_id, sa.func.count().label("n")).group_by(POSTS.c.user_id).cte("recent")
GONE = sa.delete(POSTS).where(POSTS.c.id == -1).returning(POSTS.c.id).cte("gone")
INNER = sa.select(POSTS.c.user_id).where(POSTS.c.id > 0).subquery("sq")
ANOTHER = aliased(User)


def add_user(session: Session) -> None:
    session.add(User(name="z"))


def rename_user(session: Session) -> None:
    session.get_one(User, 1).name = "q"


def delete_post(session: Session) -> None:
    session.delete(session.get_one(Post, 3))


# fmt: off
CORPUS: list[tuple[str, Callable[[Session], object], str, str]] = [
    ("orm: select entity", lambda s: s.execute(sa.select(User)).all(), "select", "users"),
    ("orm: session.get", lambda s: s.get(User,5), "select", "users"),
    ("orm: select column", lambda s: s.execute(sa.select(User.name).where(User.id==1)).all(), "select", "users"),
    ("orm: join", lambda s: s.execute(sa.select(User,Post).join(Post)).all(), "select", "users"),
    ("orm: select_from join", lambda s: s.execute(sa.select(Post.title).select_from(User).join(User.posts)).all(), "select", "users"),
    ("orm: joinedload", lambda s: s.execute(sa.select(User).options(joinedload(User.posts))).unique().all(), "select", "users"),
    ("orm: joinedload+limit (subq)", lambda s: s.execute(sa.select(User).options(joinedload(User.posts)).limit(2)).unique().all(), "select", "users"),
    ("orm: aliased", lambda s: s.execute(sa.select(ANOTHER)).all(), "select", "users"),
    ("orm: joined inheritance sub", lambda s: s.execute(sa.select(Dog)).all(), "select", "animals"),
    ("orm: count(*) func", lambda s: s.scalar(sa.select(sa.func.count()).select_from(User)), "select", "users"),
    ("orm: exists", lambda s: s.scalar(sa.select(sa.exists().where(User.id==1))), "select", "users"),
    ("orm: scalar subquery in columns", lambda s: s.execute(sa.select(User.id,sa.select(sa.func.count(Post.id)).where(Post.user_id==User.id).scalar_subquery())).all(), "select", "users"),
    ("orm: subquery in FROM", lambda s: s.execute(sa.select(INNER)).all(), "select", "posts"),
    ("orm: CTE select", lambda s: s.execute(sa.select(RECENT.c.n)).all(), "select", "posts"),
    ("orm: CTE join table", lambda s: s.execute(sa.select(User.name,RECENT.c.n).join(RECENT,RECENT.c.user_id==User.id)).all(), "select", "users"),
    ("orm: recursive CTE", lambda s: s.execute(sa.select(TREE.c.id)).all(), "select", "posts"),
    ("orm: union_all", lambda s: s.execute(sa.union_all(sa.select(User.id),sa.select(Post.id))).all(), "select", "users"),
    ("orm: lazy load", lambda s: s.get_one(User, 1).posts, "select", "posts"),
    ("orm: IN list", lambda s: s.execute(sa.select(User).where(User.id.in_([1,2,3]))).all(), "select", "users"),
    ("orm: legacy Query", lambda s: s.query(User).filter_by(id=1).first(), "select", "users"),
    ("orm: schema qualified", lambda s: s.execute(sa.select(Item)).all(), "select", "items"),
    ("orm: quoted odd name", lambda s: s.execute(sa.select(OrderItem)).all(), "select", "Order Items"),
    ("orm: unit of work insert", add_user, "insert", "users"),
    ("orm: unit of work update", rename_user, "update", "users"),
    ("orm: unit of work delete", delete_post, "delete", "posts"),
    ("orm: bulk update()", lambda s: s.execute(sa.update(User).where(User.id==-1).values(name="x")), "update", "users"),
    ("orm: for update", lambda s: s.execute(sa.select(User).with_for_update()).all(), "select", "users"),
    ("core: insert values", lambda s: s.execute(USERS.insert().values(name="c")), "insert", "users"),
    ("core: insert from select", lambda s: s.execute(USERS.insert().from_select(["name"],sa.select(POSTS.c.title))), "insert", "users"),
    ("core: upsert", lambda s: s.execute(upsert(USERS).values(id=1,name="k").on_conflict_do_nothing()), "insert", "users"),
    ("core: delete", lambda s: s.execute(sa.delete(POSTS).where(POSTS.c.id==-1)), "delete", "posts"),
    ("core: update from", lambda s: s.execute(sa.update(USERS).values(name=POSTS.c.title).where(USERS.c.id==POSTS.c.user_id).where(POSTS.c.id==-1)), "update", "users"),
    ("core: CTE w/ DELETE RETURNING", lambda s: s.execute(sa.select(GONE.c.id)).all(), "select", "posts"),
    ("core: table function", lambda s: s.execute(sa.select(sa.func.generate_series(1,3).table_valued("x").render_derived())).all(), "select", "none"),
    ("core: select func only", lambda s: s.execute(sa.select(sa.func.now())).all(), "select", "none"),
    ("core: create table", lambda s: s.execute(sa.schema.CreateTable(sa.Table("tmpx",sa.MetaData(),sa.Column("id",sa.Integer)))), "ddl", "tmpx"),
    ("core: create index", lambda s: s.execute(sa.schema.CreateIndex(sa.Index("ix_q",POSTS.c.title))), "ddl", "posts"),
    ("core: drop table", lambda s: s.execute(sa.schema.DropTable(sa.Table("tmpx",sa.MetaData()))), "ddl", "tmpx"),
    ("core: savepoint", lambda s: s.connection().begin_nested().rollback(), "savepoint", "none"),
    ("text: select", lambda s: s.execute(sa.text("select * from users where id=:i"),{"i":1}).all(), "select", "users"),
    ("text: leading comment", lambda s: s.execute(sa.text("/* app:x */ select * from users")).all(), "select", "users"),
    ("text: -- line comment", lambda s: s.execute(sa.text("-- hello from nowhere\nselect * from users")).all(), "select", "users"),
    ("text: comment w/ FROM", lambda s: s.execute(sa.text("/* copied from legacy */ select id from posts")).all(), "select", "posts"),
    ("text: parenthesised", lambda s: s.execute(sa.text("(select id from users) union (select id from posts)")).all(), "select", "users"),
    ("text: quoted + schema", lambda s: s.execute(sa.text('select * from "sch"."items"')).all(), "select", "items"),
    ("text: newline first", lambda s: s.execute(sa.text("\n   SELECT\n *\nFROM\n  users\n")).all(), "select", "users"),
    ("text: CTE", lambda s: s.execute(sa.text("with a as (select * from posts) select * from a")).all(), "select", "posts"),
    ("text: CTE then insert", lambda s: s.execute(sa.text("with a as (select id from posts) insert into users(name) select 'x' from a")), "insert", "users"),
    ("text: extract(... from ...)", lambda s: s.execute(sa.text("select extract(epoch from now()), u.id from users u")).all(), "select", "users"),
    ("text: string with FROM", lambda s: s.execute(sa.text("select 'mail from bob' as m, id from users")).all(), "select", "users"),
    ("text: is distinct from", lambda s: s.execute(sa.text("select id is distinct from 3 from users")).all(), "select", "users"),
    ("text: update only", lambda s: s.execute(sa.text("update only users set name='a' where id=-1")), "update", "users"),
    ("text: delete using", lambda s: s.execute(sa.text("delete from posts using users where posts.id=-1")), "delete", "posts"),
    ("text: insert on conflict", lambda s: s.execute(sa.text("insert into users(id,name) values (1,'x') on conflict do nothing")), "insert", "users"),
    ("text: truncate", lambda s: s.execute(sa.text("truncate table dogs")), "ddl", "dogs"),
    ("text: set", lambda s: s.execute(sa.text("set local work_mem='4MB'")), "set", "none"),
    ("text: show", lambda s: s.execute(sa.text("show work_mem")).all(), "set", "none"),
    ("text: explain", lambda s: s.execute(sa.text("explain select * from users")).all(), "set", "none"),
    ("text: call proc", lambda s: s.execute(sa.text("call do_nothing(1)")), "call", "do_nothing"),
    ("text: function as query", lambda s: s.execute(sa.text("select * from my_fn(1)")).all(), "select", "none"),
    ("text: lateral", lambda s: s.execute(sa.text("select * from users u, lateral (select * from posts p where p.user_id=u.id) q")).all(), "select", "users"),
    ("text: create table if not exists", lambda s: s.execute(sa.text("create table if not exists tmpz(id int)")), "ddl", "tmpz"),
    ("text: create unique index", lambda s: s.execute(sa.text("create unique index ixz on tmpz(id)")), "ddl", "tmpz"),
    ("text: alter table", lambda s: s.execute(sa.text("alter table tmpz add column n int")), "ddl", "tmpz"),
    ("text: comment only", lambda s: s.execute(sa.text("/* nothing */")), "other", "none"),
    ("text: lock table", lambda s: s.execute(sa.text("lock table users in share mode")), "ddl", "users"),
    ("text: merge", lambda s: s.execute(sa.text("merge into users u using posts p on u.id=p.user_id when matched then do nothing")), "merge", "users"),
    ("text: values", lambda s: s.execute(sa.text("values (1),(2)")).all(), "other", "none"),
    ("text: do block", lambda s: s.execute(sa.text("do $$ begin perform 1 from users; end $$")), "other", "none"),
]
# fmt: on

POSTGRESQL_OBJECTS = (
    "create schema sch",
    "create procedure do_nothing(n int) language sql as 'select 1'",
    "create function my_fn(n int) returns setof int language sql as 'select generate_series(1, n)'",
)
ROWS = (
    *(f"insert into users values ({number}, 'x')" for number in range(1, 6)),
    *(f"insert into posts values ({number}, {number}, 't')" for number in range(1, 6)),
)
SEQUENCES = ("alter sequence users_id_seq restart with 1000", "alter sequence posts_id_seq restart with 1000")


def run_corpus(engine: sa.Engine) -> tuple[list[Any], list[str]]:
    """Run the corpus; return what was classified wrongly, and the names of the statements that the database refused."""
    misread, refused = [], []
    for name, run, operation, table in CORPUS:
        with instrument(engine), Session(engine) as session:
            session.connection()
            with events.query_executed.captured() as seen:
                try:
                    run(session)
                    session.flush()
                except sa.exc.SQLAlchemyError:
                    refused.append(name)
                    continue
            emitted = [(event.operation, event.table) for event in seen]
            if (operation, table) not in (
                emitted[0],
                emitted[-1],
            ):  # a lookup may come before, or other statements after
                misread.append((name, (operation, table), emitted))
            if operation == "ddl":
                session.commit()  # the next one may need it
    POSTS.indexes.clear()  # the one that the corpus added
    return misread, refused


def execute_all(engine: sa.Engine, *texts: str) -> None:
    with engine.begin() as connection:
        for text in texts:
            connection.execute(sa.text(text))


def test_the_corpus_is_classified_on_postgresql(postgresql: sa.URL) -> None:
    engine = sa.create_engine(postgresql, isolation_level="AUTOCOMMIT")
    execute_all(engine, "drop database if exists corpus", "create database corpus")
    engine.dispose()
    engine = sa.create_engine(postgresql.set(database="corpus"))
    execute_all(engine, *POSTGRESQL_OBJECTS)
    Base.metadata.create_all(engine)
    execute_all(engine, *ROWS, *SEQUENCES)
    found = run_corpus(engine)
    engine.dispose()
    assert found == ([], [])


def test_what_sqlite_accepts_of_the_corpus_is_classified(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/corpus.db")

    @sa.event.listens_for(engine, "connect")
    def attach(connection: Any, _: Any) -> None:
        connection.execute("attach ':memory:' as sch")

    Base.metadata.create_all(engine)
    execute_all(engine, *ROWS)
    misread, refused = run_corpus(engine)
    engine.dispose()
    assert misread == []
    assert len(CORPUS) - len(refused) >= 50
