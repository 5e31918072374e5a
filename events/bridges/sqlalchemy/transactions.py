"""Commits, rollbacks and savepoints, timed around the dialect's own methods: SQLAlchemy's events come before these."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any, Literal

from sqlalchemy import Dialect

from ...database import savepoint_ended, transaction_ended
from .connection_state import ConnectionState, find_state
from .internals.engines import autocommits, dialect_autocommits

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

Method = Callable[..., Any]


class TransactionTracker:
    """Times the transactions of one dialect, which an engine shares with those made of it by ``execution_options``."""

    def __init__(self, name: str, *, own: bool) -> None:
        self._name = name
        self._own = own
        self._replaced: dict[str, tuple[Method | None, Method]] = {}  # the dialect's own attribute, and the wrapper
        self._is_open = True

    def wrap(self, dialect: Dialect) -> None:
        """Put a timer around the dialect's methods that begin and end transactions and savepoints."""
        for name in BEGIN_METHODS:
            self._replace(dialect, name, self._timed_begin(getattr(dialect, name)))
        for name, ending in END_METHODS.items():
            self._replace(dialect, name, self._timed_end(getattr(dialect, name), ending))
        for name, outcome in SAVEPOINT_METHODS.items():
            self._replace(dialect, name, self._watched_savepoint(getattr(dialect, name), outcome))

    def _replace(self, dialect: Dialect, name: str, wrapper: Method) -> None:
        self._replaced[name] = vars(dialect).get(name), wrapper
        setattr(dialect, name, wrapper)

    def unwrap(self, dialect: Dialect) -> None:
        """Restore the dialect's methods; a wrapper that was itself wrapped stays, and only passes calls on."""
        self._is_open = False
        for name, (before, wrapper) in self._replaced.items():
            if vars(dialect).get(name) is wrapper:
                if before is None:
                    delattr(dialect, name)
                else:
                    setattr(dialect, name, before)

    def _timed_begin(self, begin: Method) -> Method:
        def timed_begin(connection: Any, *args: Any) -> Any:
            state = find_state(connection) if self._is_open else None
            if state is not None:
                state.rollback_loses_work = state.autocommit_checked = False
                state.transaction_began = perf_counter()
            return begin(connection, *args)

        return timed_begin

    def _timed_end(self, end: Method, ending: Literal["commit", "rollback"]) -> Method:
        def commits_by_itself(connection: Any) -> bool:
            dialect: Any = getattr(end, "__self__", None)
            return dialect is not None and dialect_autocommits(dialect, connection)

        def timed_end(connection: Any, *args: Any, **options: Any) -> Any:
            state = find_state(connection) if self._is_open else None
            if state is None:
                return end(connection, *args, **options)
            # Taken now, so that calls nested in this one, or a second one, emit nothing.
            transaction_began, state.transaction_began = state.transaction_began, None
            if not state.autocommit_checked and transaction_began is not None and commits_by_itself(connection):
                transaction_began = None  # there was no statement to find that out by
            state.autocommit_checked = state.was_begun = False
            failed = True
            began = perf_counter()
            try:
                result = end(connection, *args, **options)
                failed = False
                return result
            finally:
                ended = perf_counter()
                state.busy_seconds += ended - began
                if failed:
                    state.failed_phase = ending
                if transaction_began is not None:
                    outcome: Literal["commit", "rollback", "released", "failed"]
                    if failed:
                        outcome = "failed"
                    elif ending == "rollback" and not state.rollback_loses_work:
                        outcome = "released"
                    else:
                        outcome = ending
                    transaction_ended.emit(
                        pool=self._name,
                        outcome=outcome,
                        duration=ended - transaction_began,
                        commit=ended - began if ending == "commit" else None,
                        own=self._own,
                    )

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


def record_in_transaction(state: ConnectionState, context: Any, *, writes: bool, begins: bool = False) -> None:
    """Record a statement in the transaction of its connection; its first one shows whether there is a transaction.

    ``begins`` is a BEGIN of the program's: there is a transaction then, also where the driver would begin none.
    """
    if begins:
        state.was_begun = True
    if state.transaction_began is None:
        return
    if not state.autocommit_checked:
        state.autocommit_checked = True
        if not state.was_begun and autocommits(context.root_connection):
            state.transaction_began = None
    if writes:
        state.rollback_loses_work = True
