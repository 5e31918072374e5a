"""SQLAlchemy's private attributes: each is as expected in the installed version, and none is needed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session, selectinload

import events
from events.bridges.sqlalchemy import instrument
from events.bridges.sqlalchemy.internals import computed_rows, engines, execution, lazy_loading, pools
from tests.support.blog import Base, Post, User, create_blog
from tests.support.wait import wait_until

MODULES = (execution, computed_rows, engines, pools, lazy_loading)
SELF_TESTS = {name: each for module in MODULES for name, each in vars(module).items() if hasattr(each, "cache_clear")}
SIGNALS: list[Any] = [
    events.query_executed,
    events.rows_streamed,
    events.database_failed,
    events.transaction_ended,
    events.savepoint_ended,
    events.connection_acquired,
    events.connection_released,
    events.connection_opened,
    events.connection_closed,
    events.pool_read,
    events.query_repeated,
    events.relationship_loaded,
    events.database_used,
]
TIMES = {"duration", "commit", "wait", "idle", "busy", "lifetime", "oldest_hold"}
DEPENDS_ON_TIMES = {"peak_pending"}  # who waited a moment too long


@pytest.fixture(autouse=True)
def fresh_self_tests() -> Iterator[None]:
    """Clear the outcomes of the self-tests before and after each test, and remove the listener to sessions."""

    def clear() -> None:
        for each in SELF_TESTS.values():
            each.cache_clear()
        if sa.event.contains(Session, "do_orm_execute", lazy_loading.mark_lazy_load):
            sa.event.remove(Session, "do_orm_execute", lazy_loading.mark_lazy_load)

    clear()
    yield
    clear()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    made = sa.create_engine(f"sqlite:///{tmp_path}/test.db")
    create_blog(made)
    made.dispose()
    yield made
    made.dispose()


def use_everything(engine: sa.Engine) -> None:
    """Write, fail, stream, load lazily, autocommit, invalidate and dispose: all that private attributes are for."""
    with instrument(engine.execution_options(logging_token="a"), metadata=Base.metadata) as handle:
        assert instrument(engine, metadata=Base.metadata) is handle
        with engine.begin() as connection:
            connection.execute(sa.insert(User).values(id=99))
            connection.execute(sa.insert(Post), [{"user_id": 1}, {"user_id": 2}])
            with connection.begin_nested():
                connection.exec_driver_sql("delete from posts where id = 7")
            with pytest.raises(sa.exc.OperationalError):
                connection.execute(sa.text("select * from nowhere"))
        with engine.connect() as connection:
            rows = connection.execution_options(yield_per=5).execute(sa.select(User.id))
            assert len(rows.all()) == 21
            assert (
                connection.execution_options(stream_results=True).execute(sa.insert(User).values(id=98)).rowcount == 1
            )
        with events.agent_run(agent_name="copywriter"), Session(engine) as session:
            for user in session.scalars(sa.select(User).order_by(User.id).limit(8)):
                assert user.posts is not None
            session.get(User, 1)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.insert(User).values(id=97))
        with engine.connect() as one, engine.connect() as two:
            one.execute(sa.text("select 1"))
            two.invalidate()
            handle.read_pool()
        engine.dispose()
        handle.read_pool()


def emitted_by(scenario: Callable[[sa.Engine], None], engine: sa.Engine) -> list[tuple[str, dict[str, Any]]]:
    """Return all database events of a scenario, in their order, without their times."""
    seen: list[tuple[str, dict[str, Any]]] = []
    with ExitStack() as stack:
        for signal in SIGNALS:

            def note(event: Any, name: str = signal.name) -> None:
                seen.append(
                    (name, {key: value for key, value in asdict(event).items() if key not in TIMES | DEPENDS_ON_TIMES})
                )

            stack.enter_context(signal.connected_to(note))
        scenario(engine)
    return seen


GONE: dict[str, tuple[ModuleType, str, Any]] = {
    "context_is_readable": (execution, "PRIVATE_READER", attrgetter("_gone")),
    "fetch_strategies_are_replaceable": (execution, "RESULT_FACTORY", "_gone"),
    "contexts_are_replaceable": (computed_rows, "FETCH_STRATEGY", "_gone"),
    "options_engines_are_unwrapped": (engines, "MADE_OF", "_gone"),
    "do_execute_calls_the_cursor": (engines, "DO_EXECUTE", lambda *_: None),
    "engine_isolation_is_known": (engines, "ENGINE_ISOLATION", "_gone"),
    "pool_methods_are_called": (pools, "METHODS", pools.PoolMethods(take="_gone", open="_gone_as_well")),
    "static_opening_is_known": (pools, "STATIC_OPENING", "_gone"),
    "max_overflow_is_known": (pools, "MAX_OVERFLOW", "_gone"),
    "invalidation_is_known": (pools, "INVALIDATED_AT", "_gone"),
    "lazy_loads_are_known": (
        lazy_loading, "PRIVATE", lazy_loading.LazyLoads("_gone", attrgetter("_gone"), attrgetter("_gone")),
    ),
}  # fmt: skip


TESTED_APART = {"invalidation_is_known", "static_opening_is_known"}


def test_each_self_test_has_a_way_to_fail_here() -> None:
    assert {*GONE} == {*SELF_TESTS}


@pytest.mark.parametrize("name", [*SELF_TESTS])
def test_each_private_attribute_is_as_expected_in_this_version(name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert SELF_TESTS[name]()
    assert caplog.messages == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in GONE if name not in TESTED_APART])
def test_the_same_events_are_emitted_without_a_private_attribute(
    name: str, engine: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And a warning is logged, once."""
    other = sa.create_engine(f"sqlite:///{tmp_path}/other.db")
    (tmp_path / "other.db").write_bytes((tmp_path / "test.db").read_bytes())
    expected = emitted_by(use_everything, engine)
    assert {signal for signal, _ in expected} == {signal.name for signal in SIGNALS}
    owner, attribute, value = GONE[name]
    monkeypatch.setattr(owner, attribute, value)
    SELF_TESTS[name].cache_clear()
    with caplog.at_level(logging.WARNING, logger="events"):
        seen = emitted_by(use_everything, other)
    other.dispose()
    if name == "max_overflow_is_known":
        assert {fields.pop("capacity") for _, fields in seen if "capacity" in fields} == {None}
        assert {fields.pop("capacity") for _, fields in expected if "capacity" in fields} == {15}
    assert seen == expected
    assert [message.split(":")[0] for message in caplog.messages] == [f"SQLAlchemy {sa.__version__} has changed inside"]


def test_rows_of_many_sets_of_parameters_are_counted(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a driver that counts those of the last set alone: an INSERT has one for each set, an UPDATE unknown ones."""
    monkeypatch.setattr(engine.dialect, "supports_sane_multi_rowcount", False)
    update = sa.update(Post).where(Post.user_id < sa.bindparam("limit")).values(user_id=0)
    with instrument(engine), engine.connect() as connection, events.query_executed.captured() as seen:
        connection.execute(sa.insert(User), [{"id": 98}, {"id": 99}])
        connection.execute(update, [{"limit": 1}, {"limit": 2}])
        connection.execute(sa.insert(User), {"id": 97})
        connection.execute(update, {"limit": 3})
    assert [(event.operation, event.rows) for event in seen] == [
        ("insert", 2), ("update", None), ("insert", 1), ("update", 3),
    ]  # fmt: skip


@pytest.mark.parametrize(("is_known", "reason"), [(True, "invalidated"), (False, "recycle")])
def test_a_connection_that_is_lost_with_another_is_told_from_an_old_one_where_that_is_known(
    is_known: bool, reason: str, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_known:
        monkeypatch.setattr(*GONE["invalidation_is_known"])
    invalidation_is_known = SELF_TESTS["invalidation_is_known"]
    invalidation_is_known.cache_clear()
    with instrument(engine), events.connection_closed.captured() as closed:
        with engine.connect(), engine.connect():
            pass
        with engine.connect() as lost:
            engine.pool._invalidate(lost.connection)  # as SQLAlchemy does of a lost one
        with engine.connect():
            pass
    invalidation_is_known.cache_clear()
    assert closed[-1].reason == reason


@pytest.mark.parametrize("level", ["AUTOCOMMIT", "SERIALIZABLE"])
@pytest.mark.parametrize("is_known", [True, False])
def test_an_engine_in_autocommit_has_no_transactions(
    level: Any, is_known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_known:
        monkeypatch.setattr(engines, "ENGINE_ISOLATION", "_gone")
    engine = sa.create_engine(f"sqlite:///{tmp_path}/test.db", isolation_level=level)
    with instrument(engine), events.transaction_ended.captured() as ended, engine.begin() as connection:
        connection.execute(sa.text("create table notes (id int)"))
    engine.dispose()
    assert [event.outcome for event in ended] == ([] if level == "AUTOCOMMIT" else ["commit"])


@pytest.mark.parametrize("is_known", [True, False])
def test_the_wait_for_a_connection_is_measured_with_and_without_private_methods(
    is_known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that waits is pending; one that has a connection, or is opening it, is not."""
    if not is_known:
        monkeypatch.setattr(*GONE["pool_methods_are_called"])
    engine = sa.create_engine(f"sqlite:///{tmp_path}/test.db", pool_size=1, max_overflow=0, pool_timeout=30)
    opening: list[int] = []
    done = threading.Event()

    def pending() -> int:
        with events.pool_read.captured() as states:
            handle.read_pool()
        return states[0].pending or 0

    def use() -> None:
        with engine.connect():
            done.wait(timeout=30)

    sa.event.listen(engine, "connect", lambda *_: opening.append(pending()))
    with (
        instrument(engine) as handle,
        events.connection_acquired.captured() as acquired,
        ThreadPoolExecutor(2) as threads,
    ):
        held = engine.connect()
        waiting = threads.submit(use)
        wait_until(pending)
        assert pending() == 1
        held.close()
        wait_until(lambda: not pending())
        done.set()
        waiting.result(timeout=30)
    engine.dispose()
    assert opening == [0]
    first, second = acquired
    assert first.wait < first.duration
    assert 0 < second.wait <= second.duration


@pytest.mark.parametrize("is_known", [True, False])
def test_a_connection_that_cannot_be_opened_is_not_waited_for(is_known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_known:
        monkeypatch.setattr(*GONE["pool_methods_are_called"])

    def refuse() -> None:
        raise ConnectionRefusedError

    engine = sa.create_engine("sqlite://", creator=refuse)
    with instrument(engine) as handle, events.pool_read.captured() as states:
        with pytest.raises(ConnectionRefusedError):
            engine.connect()
        handle.read_pool()
    assert [state.pending for state in states] == [0]


def test_lazy_loads_are_marked_by_one_listener_for_all_engines(
    engine: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*GONE["lazy_loads_are_known"])
    second = sa.create_engine(f"sqlite:///{tmp_path}/second.db")
    with (
        instrument(engine),
        instrument(second, "second"),
        events.relationship_loaded.captured() as seen,
        Session(engine) as session,
    ):
        assert session.get_one(User, 1).posts
    assert [event.relationship for event in seen] == ["User.posts"]


def test_no_statement_is_an_eager_load_where_its_options_say_nothing(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    contexts: list[Any] = []
    sa.event.listen(engine, "after_cursor_execute", lambda *arguments: contexts.append(arguments[4]))
    with Session(engine) as session:
        assert session.scalars(sa.select(User).options(selectinload(User.posts))).all()
    assert [*map(lazy_loading.is_eager_load, contexts)] == [False, True]
    gone = lazy_loading.LazyLoads(lazy_loading.PRIVATE.option, attrgetter("_gone"), attrgetter("_gone"))
    monkeypatch.setattr(lazy_loading, "PRIVATE", gone)
    assert [*map(lazy_loading.is_eager_load, contexts)] == [False, False]


def test_a_static_pool_that_opens_otherwise_is_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The wait for its connection includes opening it then."""
    assert pools.timed_static_opening(sa.QueuePool, lambda: None) is None
    assert pools.timed_static_opening(sa.StaticPool, lambda: None) is not None
    monkeypatch.setattr(pools, "STATIC_OPENING", "_gone")
    pools.static_opening_is_known.cache_clear()  # type: ignore[attr-defined]
    with caplog.at_level(logging.WARNING, logger="events"):
        assert pools.timed_static_opening(sa.StaticPool, lambda: None) is None
    assert len(caplog.messages) == 1
