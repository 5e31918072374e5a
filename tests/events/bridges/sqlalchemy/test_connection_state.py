"""The state of one connection by itself: its transaction, by the statements that are sent, and what it did detached."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from weakref import ref

import pytest
from sqlalchemy.engine.interfaces import ExecuteStyle

from events import ConnectionReleased, TransactionEnded, connection_released, transaction_ended
from events.bridges.sqlalchemy import connection_state, n_plus_one, statement_info, transactions
from events.bridges.sqlalchemy.connection_state import ConnectionState, find_state, is_pooled
from events.bridges.sqlalchemy.detached import DetachedConnections
from events.bridges.sqlalchemy.internals.driver_transactions import driver_transaction
from events.bridges.sqlalchemy.n_plus_one import RepeatCounter, is_batch
from events.bridges.sqlalchemy.transactions import TransactionTracker, emit_lost_transaction, ending_outcome


@pytest.fixture
def ended() -> Iterator[list[TransactionEnded]]:
    with transaction_ended.captured() as captured:
        yield captured


@pytest.fixture
def released() -> Iterator[list[ConnectionReleased]]:
    with connection_released.captured() as captured:
        yield captured


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace the clock by one that stands still until its only item is changed."""
    moment = [100.0]
    for module in (connection_state, transactions):
        monkeypatch.setattr(module, "perf_counter", lambda: moment[0])
    return moment


@pytest.fixture
def autocommit(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Replace what a connection says of autocommit."""
    says = [False]
    monkeypatch.setattr(transactions, "autocommits", lambda _: says[0])
    return says


CONTEXT: Any = SimpleNamespace(root_connection=None, dialect=SimpleNamespace(name="sqlite"))


def test_a_new_connection_is_nobodys_and_has_done_nothing() -> None:
    state = ConnectionState()
    values = {name: getattr(state, name) for name in ConnectionState.__slots__}
    assert values.pop("connecting_since") == 100.0
    assert (values.pop("caller"), values.pop("agent_name"), values.pop("fetches")) == ("none", "unknown", {})
    assert {name for name, value in values.items() if value} == set()
    assert (values["opened_at"], values["transaction_began"], values["failed_phase"]) == (None, None, None)


def test_the_state_of_a_connection_is_its_proxys_or_its_records() -> None:
    state = ConnectionState()
    assert find_state(SimpleNamespace(events_state=state)) is state
    assert find_state(SimpleNamespace(info={connection_state.INFO_KEY: state})) is state
    assert find_state(SimpleNamespace(info={})) is find_state(SimpleNamespace()) is None
    unpooled: list[Any] = [SimpleNamespace(info=None), SimpleNamespace()]
    assert is_pooled(SimpleNamespace(info={}))
    assert not any(map(is_pooled, unpooled))


@pytest.mark.usefixtures("autocommit")
@pytest.mark.parametrize(
    ("steps", "outcomes"),
    [
        ([("write",), ("commit",)], [("commit", 1.0)]),
        ([(), ("rollback",)], [("released", None)]),
        ([("write",), ("rollback",)], [("rollback", None)]),
        ([("write",), (), ("rollback",)], [("rollback", None)]),
        ([("begin", "write", "commit")], [("commit", None)]),
        ([("begin",), ("begin",), ("write",), ("rollback",)], [("rollback", None)]),
        ([("write",), ("commit",), ("write",), ("commit",)], [("commit", 1.0), ("commit", 1.0)]),
        ([("write",), ("commit",), (), ("rollback",)], [("commit", 1.0), ("released", None)]),
        ([("commit", "begin"), ("write",), ("commit",)], [("commit", None), ("commit", 1.0)]),
    ],
)
def test_a_transaction_ends_as_its_statements_say(
    steps: list[Any], outcomes: list[Any], ended: list[TransactionEnded], now: list[float]
) -> None:
    tracker, state = TransactionTracker("main", own=True), ConnectionState()
    state.transaction_began = now[0]
    for each in steps:
        now[0] += 1
        tracker.record(state, CONTEXT, each, 1.0)
    assert [(each.outcome, each.commit) for each in ended] == outcomes
    assert (state.transaction_began is None) is bool(outcomes and steps[-1][-1:] != ("begin",))


@pytest.mark.usefixtures("autocommit")
def test_a_transaction_that_begins_anew_lasts_from_its_first_statement(
    ended: list[TransactionEnded], now: list[float]
) -> None:
    tracker, state = TransactionTracker("main", own=True), ConnectionState()
    state.transaction_began = 90.0
    tracker.record(state, CONTEXT, ("commit",), 1.0)
    now[0] = 110.0
    tracker.record(state, CONTEXT, ("write",), 2.0)
    assert (state.transaction_began, state.rollback_loses_work, state.begins_again) == (108.0, True, False)
    now[0] = 111.0
    tracker.record(state, CONTEXT, ("rollback",), 0.5)
    assert [(each.outcome, each.duration) for each in ended] == [("commit", 10.0), ("rollback", 3.0)]


def test_where_each_statement_commits_by_itself_there_is_none_until_a_begin(
    autocommit: list[bool], ended: list[TransactionEnded], now: list[float]
) -> None:
    autocommit[0] = True
    tracker, state = TransactionTracker("main", own=True), ConnectionState()
    state.transaction_began = now[0]
    tracker.record(state, CONTEXT, ("write",), 1.0)
    assert [state.transaction_began, state.rollback_loses_work] == [None, False]
    tracker.record(state, CONTEXT, ("begin",), 1.0)
    assert [state.transaction_began, state.was_begun] == [99.0, True]
    tracker.record(state, CONTEXT, ("write",), 1.0)
    tracker.record(state, CONTEXT, ("rollback",), 1.0)
    assert [each.outcome for each in ended] == ["rollback"]
    tracker.record(state, CONTEXT, (), 1.0)
    assert state.transaction_began is None


@pytest.mark.usefixtures("autocommit")
@pytest.mark.parametrize(
    ("steps", "outcomes", "began"),
    [
        (("commit",), [("failed", 1.0)], None),
        (("rollback",), [("failed", None)], None),
        (("write",), [], 100.0),
        ((), [], 100.0),
        (("write", "commit"), [], 100.0),
    ],
)
def test_a_statement_that_fails_loses_what_was_done(
    steps: Any, outcomes: list[Any], began: float | None, ended: list[TransactionEnded], now: list[float]
) -> None:
    tracker, state = TransactionTracker("main", own=True), ConnectionState()
    state.transaction_began = now[0]
    tracker.record_failed(state, CONTEXT, steps, 1.0)
    assert [(each.outcome, each.commit) for each in ended] == outcomes
    assert state.transaction_began == began
    assert (state.rollback_loses_work, state.has_failed) == (began is not None,) * 2
    assert not state.autocommit_checked


@pytest.mark.usefixtures("autocommit")
@pytest.mark.parametrize(
    ("steps", "began"), [(("begin", "write"), 99.0), (("write", "begin"), None), (("begin",), None)]
)
def test_of_several_statements_in_one_text_a_begin_before_the_one_that_failed_counts(
    steps: Any, began: float | None
) -> None:
    tracker, state = TransactionTracker("main", own=True), ConnectionState()
    tracker.record_failed(state, CONTEXT, steps, 1.0)
    assert state.transaction_began == began


@pytest.mark.usefixtures("autocommit")
def test_what_the_dialect_sends_to_end_a_transaction_is_no_step_of_it(ended: list[TransactionEnded]) -> None:
    tracker, state = TransactionTracker("main", own=True), ConnectionState()
    state.transaction_began, state.is_ending = 90.0, True
    tracker.record(state, CONTEXT, ("commit",), 1.0)
    tracker.record_failed(state, CONTEXT, ("commit",), 1.0)
    assert (ended, state.transaction_began, state.has_failed) == ([], 90.0, False)


@pytest.mark.parametrize(
    ("ending", "has_failed", "loses", "database", "known", "outcome"),
    [
        ("commit", False, False, "postgresql", "failed", "commit"),
        ("commit", True, True, "postgresql", None, "rollback"),
        ("commit", True, True, "sqlite", None, "commit"),
        ("commit", True, True, "sqlite", "failed", "rollback"),
        ("commit", True, True, "postgresql", "open", "commit"),
        ("rollback", False, False, "sqlite", "open", "released"),
        ("rollback", False, True, "sqlite", "open", "rollback"),
        ("rollback", False, True, "sqlite", None, "rollback"),
        ("rollback", False, True, "sqlite", "none", "released"),
        ("rollback", True, True, "sqlite", "none", "rollback"),
        ("rollback", True, False, "sqlite", "none", "released"),
    ],
)
def test_an_end_has_the_outcome_that_the_database_gives_it(
    *,
    ending: Any,
    has_failed: bool,
    loses: bool,
    database: str,
    known: str | None,
    outcome: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transactions, "driver_transaction", lambda _: known)
    state = ConnectionState()
    state.has_failed, state.rollback_loses_work = has_failed, loses
    assert ending_outcome(state, ending, SimpleNamespace(name=database)) == outcome


def driver(**attributes: Any) -> Any:
    return SimpleNamespace(driver_connection=SimpleNamespace(**attributes))


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        *((driver(info=SimpleNamespace(transaction_status=status)), expected)
          for status, expected in ((0, "none"), (1, "open"), (2, "open"), (3, "failed"), (4, "open"))),
        (driver(in_transaction=True), "open"),
        (driver(in_transaction=False), "none"),
        (driver(in_transaction=lambda: True), None),
        (driver(), None),
        (None, None),
    ],
)  # fmt: skip
def test_a_driver_may_know_the_state_of_a_transaction(connection: Any, expected: str | None) -> None:
    assert driver_transaction(connection) == expected


def test_a_connection_that_is_done_with_loses_the_transaction_that_is_open(
    ended: list[TransactionEnded], now: list[float]
) -> None:
    state = ConnectionState()
    emit_lost_transaction(state, "main", own=False)
    assert ended == []
    state.transaction_began = 90.0
    state.was_begun = state.begins_again = True
    state.agent_name, state.run_id = "writer", "r"
    now[0] = 97.0
    emit_lost_transaction(state, "main", own=False)
    emit_lost_transaction(state, "main", own=False)
    [event] = ended
    assert (event.outcome, event.duration, event.own, event.agent_name, event.run_id) == (
        "failed", 7.0, False, "writer", "r",
    )  # fmt: skip
    assert (state.was_begun, state.begins_again) == (False, False)


class Proxy:
    """What a program holds of a connection."""


def did(state: ConnectionState, statements: int, busy: float) -> None:
    state.statements += statements
    state.busy_seconds += busy


def test_a_detached_connection_emits_what_it_did_since_the_last_time(
    released: list[ConnectionReleased], ended: list[TransactionEnded]
) -> None:
    connections, state, proxy = DetachedConnections("main", statements=True, own=True), ConnectionState(), Proxy()
    did(state, 3, 1.0)
    connections.add(state, state, ref(proxy))
    connections.emit_news()
    assert released == []
    did(state, 2, 0.5)
    connections.emit_news()
    connections.emit_news()
    did(state, 0, 0.25)
    connections.emit_news()
    assert [(each.statements, each.busy, each.duration, each.idle) for each in released] == [
        (2, 0.5, None, None), (0, 0.25, None, None),
    ]  # fmt: skip
    state.transaction_began = 90.0
    did(state, 1, 0.0)
    connections.on_closed(state)
    connections.on_closed(state)
    assert ([each.statements for each in released][2:], len(ended), connections.states()) == ([1], 1, [])


def test_a_detached_connection_that_was_dropped_is_followed_no_more(released: list[ConnectionReleased]) -> None:
    connections, state, proxy = DetachedConnections("main", statements=True, own=True), ConnectionState(), Proxy()
    connections.add(state, state, ref(proxy))
    assert connections.states() == [state]
    did(state, 1, 0.5)
    del proxy
    connections.emit_news()
    assert (len(released), connections.states()) == (1, [])


def test_without_statements_a_detached_connection_emits_none(released: list[ConnectionReleased]) -> None:
    connections, state, proxy = DetachedConnections("main", statements=False, own=True), ConnectionState(), Proxy()
    connections.add(state, state, ref(proxy))
    did(state, 1, 0.5)
    connections.emit_news()
    assert released == []
    connections.clear()
    assert connections.states() == []


def test_a_statement_is_counted_by_its_key_until_there_are_too_many() -> None:
    counter = RepeatCounter()
    assert [counter.add(key) for key in ("a", "a", "b", "a")] == [1, 2, 1, 3]
    assert [counter.add(key) for key in range(n_plus_one._MOST_STATEMENTS - 2)] == [1] * 998
    assert [counter.add(key) for key in ("new", "a", 0)] == [0, 4, 2]


def test_each_batch_of_many_rows_but_the_first_is_a_batch() -> None:
    context = SimpleNamespace(execute_style=ExecuteStyle.INSERTMANYVALUES)
    assert [is_batch(context) for _ in range(3)] == [False, True, True]


@pytest.mark.parametrize(
    ("own", "style", "statement", "is_own"),
    [
        ("insert into a", ExecuteStyle.INSERTMANYVALUES, "insert into a values (1), (2)", True),
        ("insert into a", ExecuteStyle.INSERTMANYVALUES, "another", True),
        ("select 1", ExecuteStyle.EXECUTE, "select 1 /* commented */", True),
        ("select 1", ExecuteStyle.EXECUTE, "select nextval('a')", False),
        (None, ExecuteStyle.INSERTMANYVALUES, "select 1", False),
    ],
)
def test_a_text_is_a_contexts_own_statement_also_where_it_is_changed(
    own: str | None, style: Any, statement: str, is_own: bool
) -> None:
    assert statement_info._is_own(SimpleNamespace(statement=own, execute_style=style), statement) is is_own
