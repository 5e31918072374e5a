"""Transactions and savepoints: those that SQLAlchemy begins and ends, and those of the program's own texts.

They are timed around the dialect's own methods: SQLAlchemy's events come before these.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any, Literal

from sqlalchemy import Dialect

from ...database import savepoint_ended, transaction_ended
from .connection_state import ConnectionState, find_state
from .internals.driver_transactions import driver_transaction
from .internals.engines import autocommits, driver_autocommits
from .replaced_methods import Method, ReplacedMethods
from .transaction_steps import Steps

BEGIN_METHODS = ("do_begin", "do_begin_twophase")
END_METHODS: dict[str, Literal["commit", "rollback"]] = {
    "do_commit": "commit",
    "do_rollback": "rollback",
    "do_commit_twophase": "commit",
    "do_rollback_twophase": "rollback",
}
SAVEPOINT_METHODS: dict[str, Literal["released", "rollback"]] = {
    "do_release_savepoint": "released",
    "do_rollback_to_savepoint": "rollback",
}

Outcome = Literal["commit", "rollback", "released", "failed"]


class TransactionTracker:
    """Times the transactions of one dialect, which an engine shares with those made of it by ``execution_options``."""

    def __init__(self, name: str, *, own: bool) -> None:
        self._name = name
        self._own = own
        self._methods = ReplacedMethods()
        self._is_open = True

    def wrap(self, dialect: Dialect) -> None:
        """Put a timer around the dialect's methods that begin and end transactions and savepoints."""
        for name in BEGIN_METHODS:
            self._methods.replace(dialect, name, self._timed_begin(getattr(dialect, name)))
        for name, ending in END_METHODS.items():
            self._methods.replace(dialect, name, self._timed_end(getattr(dialect, name), ending))
        for name, outcome in SAVEPOINT_METHODS.items():
            self._methods.replace(dialect, name, self._watched_savepoint(getattr(dialect, name), outcome))

    def unwrap(self, dialect: Dialect) -> None:
        """Restore the dialect's methods; a wrapper that was itself wrapped stays, and only passes calls on."""
        self._is_open = False
        self._methods.restore(dialect)

    def _timed_begin(self, begin: Method) -> Method:
        def timed_begin(connection: Any, *args: Any) -> Any:
            state = find_state(connection) if self._is_open else None
            if state is not None:
                state.rollback_loses_work = state.autocommit_checked = state.begins_again = state.has_failed = False
                if not state.was_begun or state.transaction_began is None:  # else by a listener to "begin"
                    state.transaction_began = perf_counter()
            return begin(connection, *args)

        return timed_begin

    def _timed_end(self, end: Method, ending: Literal["commit", "rollback"]) -> Method:
        dialect: Any = getattr(end, "__self__", None)

        def commits_by_itself(connection: Any) -> bool:
            return dialect is not None and driver_autocommits(dialect, connection)

        def timed_end(connection: Any, *args: Any, **options: Any) -> Any:
            state = find_state(connection) if self._is_open else None
            if state is None:
                return end(connection, *args, **options)
            # Taken now, so that calls nested in this one, or a second one, emit nothing.
            transaction_began, state.transaction_began = state.transaction_began, None
            is_unchecked = not (state.autocommit_checked or state.was_begun)
            if is_unchecked and transaction_began is not None and commits_by_itself(connection):
                transaction_began = None  # there was no statement to find that out by
            state.autocommit_checked = state.was_begun = state.begins_again = False
            was_ending, state.is_ending = state.is_ending, True
            outcome = ending_outcome(state, ending, dialect, connection)
            state.has_failed = False
            failed = True
            began = perf_counter()
            try:
                result = end(connection, *args, **options)
                failed = False
                return result
            finally:
                ended = perf_counter()
                state.busy_seconds += ended - began
                state.is_ending = was_ending
                if failed:
                    state.failed_phase = ending
                if transaction_began is not None:
                    commit = ended - began if ending == "commit" else None
                    self._emit_ended("failed" if failed else outcome, ended - transaction_began, commit)

        return timed_end

    def _watched_savepoint(self, end: Method, outcome: Literal["released", "rollback"]) -> Method:
        def watched_end(connection: Any, *args: Any, **options: Any) -> Any:
            failed = True
            try:
                result = end(connection, *args, **options)  # a statement, which is timed as such
                failed = False
                return result
            finally:
                if self._is_open:
                    savepoint_ended.emit(pool=self._name, outcome="failed" if failed else outcome)

        return watched_end

    def record(self, state: ConnectionState, context: Any, steps: Steps, duration: float) -> None:
        """Record a statement in the transaction of its connection; its first one shows whether there is a transaction.

        A BEGIN of the program's begins one where the driver would begin none; after a COMMIT or a ROLLBACK of its own
        the next statement begins one where each connection has one all the time.
        """
        if state.is_ending:  # sent by the dialect, to end one of two phases
            return
        began = perf_counter() - duration
        check_autocommit(state, context, began)
        if steps != ("commit",):
            state.has_failed = False  # else PostgreSQL would not have taken this one
        for step in steps:
            if step == "begin":
                begin_by_text(state, began)
            elif step == "write":
                state.rollback_loses_work = state.transaction_began is not None
            else:
                outcome = ending_outcome(state, step, context.dialect)
                self._end_by_text(state, outcome, duration if steps == ("commit",) else None)

    def record_failed(self, state: ConnectionState, context: Any, steps: Steps, duration: float) -> None:
        """Record a statement that failed: what was done before is lost, and a COMMIT or ROLLBACK ends nothing well."""
        if state.is_ending:
            return
        began = perf_counter() - duration
        check_autocommit(state, context, began)
        if steps in {("commit",), ("rollback",)}:
            self._end_by_text(state, "failed", duration if steps == ("commit",) else None)
            return
        if "begin" in steps[:-1]:  # several statements in one text: a later one failed
            begin_by_text(state, began)
        state.rollback_loses_work = state.has_failed = True
        state.autocommit_checked = False  # so that the next statement is recorded

    def _end_by_text(self, state: ConnectionState, outcome: Outcome, commit: float | None) -> None:
        began, state.transaction_began = state.transaction_began, None
        state.was_begun = state.rollback_loses_work = state.autocommit_checked = state.has_failed = False
        state.begins_again = True
        if began is not None:
            self._emit_ended(outcome, perf_counter() - began, commit)

    def _emit_ended(self, outcome: Outcome, duration: float, commit: float | None) -> None:
        transaction_ended.emit(pool=self._name, outcome=outcome, duration=duration, commit=commit, own=self._own)


def check_autocommit(state: ConnectionState, context: Any, began: float) -> None:
    """Find out, by the first statement of a transaction, whether there is one: each statement may commit by itself."""
    if state.autocommit_checked:
        return
    state.autocommit_checked = True
    begins_again, state.begins_again = state.begins_again, False
    if state.was_begun or (state.transaction_began is None and not begins_again):
        return
    if autocommits(context.root_connection):
        state.transaction_began = None
    elif begins_again:
        state.transaction_began = began


def begin_by_text(state: ConnectionState, began: float) -> None:
    """Begin a transaction by the program's own BEGIN; within one it changes nothing."""
    state.was_begun = True
    if state.transaction_began is None:
        state.transaction_began, state.rollback_loses_work = began, False


def ending_outcome(
    state: ConnectionState, ending: Literal["commit", "rollback"], dialect: Any, connection: Any = None
) -> Outcome:
    """Return the outcome of a COMMIT or ROLLBACK if it is done.

    A rollback may lose nothing: nothing was written, or what was written is committed by itself. PostgreSQL answers the
    COMMIT of a transaction in which a statement failed with ROLLBACK, which is no error.

    Args:
        state: that of the connection.
        ending: what it is.
        dialect: the connection's.
        connection: a pool's connection on which it is not done yet, whose driver may know more.
    """
    if ending == "commit":
        if not state.has_failed:
            return "commit"
        known = driver_transaction(connection)
        is_lost = known == "failed" if known is not None else getattr(dialect, "name", "") == "postgresql"
        return "rollback" if is_lost else "commit"
    if not state.rollback_loses_work:
        return "released"
    return "rollback" if state.has_failed or driver_transaction(connection) != "none" else "released"


def emit_lost_transaction(state: ConnectionState, pool: str, *, own: bool) -> None:
    """Emit the transaction of a connection that is done with, if it is still open: it was lost with the connection."""
    if state.transaction_began is None:
        return
    duration, state.transaction_began = perf_counter() - state.transaction_began, None
    state.was_begun = state.begins_again = False
    transaction_ended.emit(
        pool=pool,
        outcome="failed",
        duration=duration,
        own=own,
        agent_name=state.agent_name,
        run_id=state.run_id,
    )
