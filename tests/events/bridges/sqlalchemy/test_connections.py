"""The events of connections and transactions of an engine, on a clock that the test sets."""

from __future__ import annotations

import gc
from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import InvalidatePoolError

import events
from events.bridges.sqlalchemy import connection_state, connections, fetch, instrument, statements, transactions
from events.bridges.sqlalchemy.connection_state import ConnectionState, find_state, is_pooled
from events.bridges.sqlalchemy.internals import computed_rows
from events.bridges.sqlalchemy.transactions import TransactionTracker


class Clock:
    """A clock that stands still until it is set forward."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for module in (connection_state, connections, computed_rows, fetch, statements, transactions):
        monkeypatch.setattr(module, "perf_counter", made)
    return made


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    made = sa.create_engine(f"sqlite:///{tmp_path}/test.db")
    with made.begin() as connection:
        connection.execute(sa.text("create table users (id integer primary key)"))
    made.dispose()
    yield made
    made.dispose()


def sleeping(connection: sa.Connection, clock: Clock) -> sa.Connection:
    """Give a connection a function ``pause``, which sets the clock forward by as many seconds."""

    def pause(seconds: float) -> float:
        clock.now += seconds
        return seconds

    sqlite: Any = connection.connection.dbapi_connection
    sqlite.create_function("pause", 1, pause)
    return connection


def test_a_hold_is_busy_while_statements_run_and_idle_the_rest(engine: sa.Engine, clock: Clock) -> None:
    with instrument(engine), events.connection_released.captured() as released, engine.connect() as connection:
        sleeping(connection, clock)
        clock.now += 3
        connection.execute(sa.text("select pause(2)")).all()
        with suppress(sa.exc.OperationalError):
            connection.execute(sa.text("select pause(4), nothing"))
        clock.now += 1
    [event] = released
    assert (event.duration, event.idle, event.leaked, event.scope) == (6.0, 4.0, False, "none")


def test_a_failing_statement_is_busy_and_has_its_duration(engine: sa.Engine, clock: Clock) -> None:
    """A constraint fails once the statement runs, unlike a column that there is not."""
    with (
        instrument(engine, slow_seconds=5.0),
        events.connection_released.captured() as released,
        events.query_executed.captured() as seen,
        events.database_failed.captured() as failures,
        engine.connect() as connection,
    ):
        sleeping(connection, clock)
        for seconds in (4, 5):
            with suppress(sa.exc.IntegrityError):
                connection.execute(sa.text(f"insert into users values (pause({seconds}) * 0), (0)"))
    assert [(each.duration, each.error, each.slow) for each in seen] == [
        (4.0, "IntegrityError", False), (5.0, "IntegrityError", True),
    ]  # fmt: skip
    assert [(each.phase, each.error, each.operation, each.table) for each in failures] == [
        ("execute", "integrity", "insert", "users")
    ] * 2
    assert (released[0].duration, released[0].idle) == (9.0, 0.0)


def test_a_transaction_lasts_from_its_begin_to_its_end(engine: sa.Engine, clock: Clock) -> None:
    with instrument(engine), events.transaction_ended.captured() as ended:
        with engine.begin() as connection:
            clock.now += 3
            connection.execute(sa.text("insert into users values (1)"))
        with engine.connect() as connection:
            connection.execute(sa.text("insert into users values (2)"))
            clock.now += 2
        with engine.connect() as connection:
            connection.execute(sa.text("select 1"))
            clock.now += 1
    assert [(each.outcome, each.duration, each.commit) for each in ended] == [
        ("commit", 3.0, 0.0), ("rollback", 2.0, None), ("released", 1.0, None),
    ]  # fmt: skip


def test_a_commit_has_the_time_that_it_takes_and_is_busy(engine: sa.Engine, clock: Clock) -> None:
    plain = engine.dialect.do_commit

    def slow_commit(connection: Any) -> None:
        clock.now += 5
        plain(connection)

    vars(engine.dialect)["do_commit"] = slow_commit  # as a slow disk
    with (
        instrument(engine),
        events.transaction_ended.captured() as ended,
        events.connection_released.captured() as released,
        engine.begin() as connection,
    ):
        clock.now += 1
        connection.execute(sa.text("insert into users values (1)"))
    assert engine.dialect.do_commit is slow_commit
    assert [(each.duration, each.commit) for each in ended] == [(6.0, 5.0)]
    assert (released[0].duration, released[0].idle) == (6.0, 1.0)


def test_a_transaction_that_fails_to_end_is_failed_and_the_next_is_its_own(engine: sa.Engine, clock: Clock) -> None:
    plain, errors = engine.dialect.do_commit, [LookupError()]

    def failing_commit(connection: Any) -> None:
        if errors:
            raise errors.pop()
        plain(connection)

    vars(engine.dialect)["do_commit"] = failing_commit  # as a server that is gone
    with instrument(engine), events.transaction_ended.captured() as ended:
        for _ in range(2):
            with engine.connect() as connection:
                connection.execute(sa.text("insert into users default values"))
                with suppress(LookupError):
                    connection.commit()
    assert [each.outcome for each in ended] == ["failed", "commit"]


def test_a_savepoint_is_released_rolled_back_or_failed(engine: sa.Engine) -> None:
    with instrument(engine), events.savepoint_ended.captured() as ended, engine.connect() as connection:
        with connection.begin_nested():
            pass
        connection.begin_nested().rollback()
        connection.begin_nested()
        connection.exec_driver_sql("rollback")
        with suppress(sa.exc.OperationalError):
            connection.get_nested_transaction().commit()  # type: ignore[union-attr]  # it is open
    assert [each.outcome for each in ended] == ["released", "rollback", "failed"]


def test_a_connection_is_opened_and_lives_until_it_is_closed(engine: sa.Engine, clock: Clock) -> None:
    """What other listeners do with a new connection is not the time that it takes to open it."""

    def connecting(*_: Any) -> None:
        clock.now += 2

    def listening(*_: Any) -> None:
        clock.now += 10

    sa.event.listen(engine, "connect", listening)
    with (
        instrument(engine),
        events.connection_opened.captured() as opened,
        events.connection_closed.captured() as closed,
    ):
        sa.event.listen(engine, "do_connect", connecting)
        with engine.connect():
            clock.now += 3
        clock.now += 4
        engine.dispose()
        assert [(each.duration, each.pool) for each in opened] == [(2.0, "main")]
        assert [(each.lifetime, each.reason) for each in closed] == [(17.0, "dispose")]
        sa.event.remove(engine, "do_connect", connecting)
        sa.event.remove(engine, "connect", listening)


@pytest.mark.parametrize(
    ("error", "reason"),
    [(None, "invalidated"), (LookupError(), "invalidated"), (CancelledError(), "cancelled"),
     (InvalidatePoolError(), "ping_failed")],
)  # fmt: skip
def test_a_connection_that_is_invalidated_is_closed_for_its_reason(
    engine: sa.Engine, error: BaseException | None, reason: str
) -> None:
    with instrument(engine), events.connection_closed.captured() as closed:
        with engine.connect() as connection:
            connection.connection.invalidate(error)
            assert [each.reason for each in closed] == [reason]
        with engine.connect():
            pass
        engine.dispose()
    assert [each.reason for each in closed] == [reason, "dispose"]


@pytest.mark.parametrize(("options", "reason"), [({"pool_recycle": 0}, "recycle"), ({"pool_size": 1}, "overflow")])
def test_a_connection_of_a_full_or_an_old_pool_is_closed(tmp_path: Path, options: Any, reason: str) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/test.db", **options)
    with instrument(engine), events.connection_closed.captured() as closed:
        with engine.connect(), engine.connect():
            pass
        with engine.connect():
            pass
        assert {each.reason for each in closed} == {reason}
        engine.dispose()


def test_a_detached_connection_is_released_and_gone(engine: sa.Engine) -> None:
    with (
        instrument(engine),
        events.connection_released.captured() as released,
        events.connection_closed.captured() as closed,
        engine.connect() as connection,
    ):
        connection.detach()
        assert [each.leaked for each in released] == [False]
        assert [each.reason for each in closed] == ["detached"]


@pytest.fixture
def released() -> Iterator[list[events.ConnectionReleased]]:
    with events.connection_released.captured() as captured:
        yield captured


@pytest.fixture
def ended() -> Iterator[list[events.TransactionEnded]]:
    with events.transaction_ended.captured() as captured:
        yield captured


def statements_of(released: list[events.ConnectionReleased]) -> int:
    return sum(each.statements or 0 for each in released)


def test_what_a_detached_connection_does_counts_until_it_is_closed(
    engine: sa.Engine, released: list[events.ConnectionReleased], ended: list[events.TransactionEnded]
) -> None:
    """Its transaction goes on, and what it did is emitted at each reading of the pool."""
    with instrument(engine) as handle, engine.connect() as connection:
        connection.exec_driver_sql("create table things (id int)")
        connection.detach()
        assert (len(released), statements_of(released), ended) == (1, 1, [])
        connection.exec_driver_sql("insert into things values (1)")
        handle.read_pool()
        assert statements_of(released) == 2
        handle.read_pool()
        assert len(released) == 2
        connection.commit()
        connection.exec_driver_sql("select * from things").all()
        connection.close()
        assert statements_of(released) == 3
        with engine.connect() as another:
            another.exec_driver_sql("select 1")
    assert statements_of(released) == 4
    assert [event.outcome for event in ended] == ["commit", "released", "released"]
    assert [event.duration is None for event in released] == [False, True, True, False]
    assert all((event.busy or 0) > 0 for event in released)
    assert not any(event.leaked for event in released)


def test_a_detached_connection_that_is_dropped_or_lost_is_forgotten(
    engine: sa.Engine, released: list[events.ConnectionReleased], ended: list[events.TransactionEnded]
) -> None:
    with instrument(engine) as handle:
        for lose in (True, False):
            proxy = engine.raw_connection()
            connection = sa.Connection(engine, connection=proxy)
            connection.detach()
            connection.exec_driver_sql("select 1")
            driver_connection = proxy.dbapi_connection
            if lose:
                connection.invalidate()
            del connection, proxy
            gc.collect()
            handle.read_pool()
            assert driver_connection is not None
            driver_connection.close()
        handle.read_pool()
    assert [event.outcome for event in ended] == ["failed", "failed"]
    assert statements_of(released) == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::sqlalchemy.exc.SAWarning")
def test_a_connection_that_nobody_returned_is_leaked(engine: sa.Engine, clock: Clock) -> None:
    with instrument(engine), events.connection_released.captured() as released:
        connection = engine.raw_connection()
        clock.now += 5
        del connection
        gc.collect()
    assert [(each.leaked, each.duration) for each in released] == [(True, 5.0)]


def test_the_oldest_hold_is_the_one_that_began_first(engine: sa.Engine, clock: Clock) -> None:
    with instrument(engine) as handle, events.pool_read.captured() as states:
        handle.read_pool()
        with engine.connect():
            clock.now += 3
            with engine.connect():
                clock.now += 2
                handle.read_pool()
            handle.read_pool()
        handle.read_pool()
    assert [each.oldest_hold for each in states] == [0.0, 5.0, 5.0, 0.0]
    assert [each.overflow for each in states] == [0] * 4  # the pool is not full


@pytest.mark.parametrize(("pool", "idle"), [(sa.NullPool, 0), (sa.StaticPool, 0), (sa.QueuePool, 1)])
def test_after_a_fork_what_was_checked_out_is_the_parents(tmp_path: Path, pool: Any, idle: int, clock: Clock) -> None:
    """Its connections are neither used nor idle, and neither a release nor a transaction ends."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/test.db", poolclass=pool)
    with (
        instrument(engine) as handle,
        events.pool_read.captured() as states,
        events.connection_released.captured() as released,
        events.transaction_ended.captured() as ended,
    ):
        with engine.connect() as connection:
            connection.execute(sa.text("select 1"))
            clock.now += 5
            handle.reset_after_fork()
            handle.read_pool()
        assert (released, ended) == ([], [])
        with engine.connect() as connection:
            connection.execute(sa.text("select 1"))
            handle.read_pool()
        engine.dispose()
    before, after = states
    # A pool that counts by itself counts the parent's connection, until the child disposes of it.
    assert (before.used, before.idle, before.oldest_hold) == (1 if pool is sa.QueuePool else 0, 0, 0.0)
    assert (after.used, after.idle) == (1, 0)
    assert len(released) == len(ended) == 1


def test_a_statement_before_a_connection_is_in_its_pool_is_nobodys(tmp_path: Path) -> None:
    """SQLAlchemy queries a new server first: what fails there is a failure, and no query of the program's."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/test.db")
    plain = engine.dialect.initialize

    def initialize(connection: sa.Connection) -> None:
        connection.exec_driver_sql("select 1")
        with suppress(sa.exc.OperationalError):
            connection.exec_driver_sql("select * from nowhere")
        plain(connection)

    engine.dialect.initialize = initialize  # type: ignore[method-assign]  # as another dialect's
    with (
        instrument(engine),
        events.query_executed.captured() as seen,
        events.database_failed.captured() as failures,
        engine.connect() as connection,
    ):
        connection.execute(sa.text("select * from sqlite_master"))
    engine.dispose()
    assert [(each.operation, each.table, each.error) for each in seen] == [("select", "system", "")]
    assert [(each.phase, each.operation, each.table) for each in failures] == [("execute", "select", "none")]


def test_an_agents_hold_has_its_name(engine: sa.Engine) -> None:
    with instrument(engine), events.connection_released.captured() as released:
        with events.workflow_run.scope(run_id="r1"), events.agent_run(agent_name="copywriter"), engine.connect():
            pass
        with engine.connect():
            pass
    assert [(each.agent_name, each.run_id, each.scope) for each in released] == [
        ("copywriter", "r1", "agent"), ("unknown", "", "none"),
    ]  # fmt: skip


def test_the_state_of_a_connection_is_found_with_its_proxy_or_in_its_record() -> None:
    state = ConnectionState()
    assert find_state(SimpleNamespace(events_state=state, info={})) is state
    assert find_state(SimpleNamespace(info={connection_state.INFO_KEY: state})) is state
    assert find_state(SimpleNamespace(info={})) is None
    assert find_state(object()) is None
    assert is_pooled(SimpleNamespace(info={}))
    assert not is_pooled(SimpleNamespace(info=None))
    assert not is_pooled(object())


@pytest.mark.parametrize("autocommits", [True, False])
@pytest.mark.parametrize("writes", [True, False])
def test_the_first_statement_shows_whether_there_is_a_transaction(
    monkeypatch: pytest.MonkeyPatch, autocommits: bool, writes: bool
) -> None:
    asked: list[Any] = []

    def answer(connection: Any) -> bool:
        asked.append(connection)
        return autocommits

    monkeypatch.setattr(transactions, "autocommits", answer)
    context, state, tracker = (
        SimpleNamespace(root_connection="root"),
        ConnectionState(),
        TransactionTracker("a", own=True),
    )
    tracker.record(state, context, ("write",), 0.0)
    assert (asked, state.rollback_loses_work) == ([], False)  # there is no transaction
    state.transaction_began, state.autocommit_checked = 1.0, False
    for _ in range(2):
        tracker.record(state, context, ("write",) if writes else (), 0.0)
    assert asked == ["root"]
    assert state.transaction_began == (None if autocommits else 1.0)
    assert state.rollback_loses_work is (writes and not autocommits)


def test_a_new_transaction_has_nothing_to_lose(engine: sa.Engine) -> None:
    with instrument(engine), events.transaction_ended.captured() as ended, engine.connect() as connection:
        for statement in ("insert into users values (1)", "select 1"):
            connection.execute(sa.text(statement))
            connection.rollback()
    assert [each.outcome for each in ended] == ["rollback", "released"]
