"""How transactions end, timed around the dialect's own work: SQLAlchemy's events come before it."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any, Literal

from sqlalchemy import Connection, Dialect

from ...database import savepoint_ended, transaction_ended
from .connection_state import Kept, kept_of

BEGINNINGS = ("do_begin", "do_begin_twophase")
ENDINGS: dict[str, Literal["commit", "rollback"]] = {
    "do_commit": "commit",
    "do_rollback": "rollback",
    "do_commit_twophase": "commit",
    "do_rollback_twophase": "rollback",
}
SAVEPOINTS: dict[str, Literal["released", "rollback"]] = {
    "do_release_savepoint": "released",
    "do_rollback_to_savepoint": "rollback",
}

Method = Callable[..., Any]


class Transactions:
    """Watches the transactions of one dialect, which an engine shares with those made of it by options."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._wrapped: dict[str, tuple[Method | None, Method]] = {}
        self._open = True

    def wrap(self, dialect: Dialect) -> None:
        """Put a clock around what ends transactions and savepoints."""
        for method in BEGINNINGS:
            self._replace(dialect, method, self._begun(getattr(dialect, method)))
        for method, ending in ENDINGS.items():
            self._replace(dialect, method, self._ended(getattr(dialect, method), ending))
        for method, outcome in SAVEPOINTS.items():
            self._replace(dialect, method, self._left(getattr(dialect, method), outcome))

    def _replace(self, dialect: Dialect, method: str, ours: Method) -> None:
        self._wrapped[method] = vars(dialect).get(method), ours
        setattr(dialect, method, ours)

    def unwrap(self, dialect: Dialect) -> None:
        """Take the clocks off; one that somebody else has wrapped in the meantime only passes on."""
        self._open = False
        for method, (before, timed) in self._wrapped.items():
            if vars(dialect).get(method) is timed:
                if before is None:
                    delattr(dialect, method)
                else:
                    setattr(dialect, method, before)

    def _begun(self, plain: Method) -> Method:
        def beginning(connection: Any, *args: Any) -> Any:
            kept = kept_of(connection) if self._open else None
            if kept is not None:
                kept.matters = kept.checked = False
                kept.transaction = perf_counter()
            return plain(connection, *args)

        return beginning

    def _ended(self, plain: Method, ending: Literal["commit", "rollback"]) -> Method:
        def timed(connection: Any, *args: Any, **options: Any) -> Any:
            kept = kept_of(connection) if self._open else None
            if kept is None:
                return plain(connection, *args, **options)
            # Taken here: of the calls nested in this one, and of a second one, nothing is told.
            transaction, kept.transaction = kept.transaction, None
            failed = True
            began = perf_counter()
            try:
                answer = plain(connection, *args, **options)
                failed = False
                return answer
            finally:
                ended = perf_counter()
                kept.busy += ended - began
                if failed:
                    kept.failed_in = ending
                if transaction is not None:
                    outcome: Literal["commit", "rollback", "released", "failed"]
                    if failed:
                        outcome = "failed"
                    elif ending == "rollback" and not kept.matters:
                        outcome = "released"
                    else:
                        outcome = ending
                    transaction_ended.emit(
                        pool=self._name,
                        outcome=outcome,
                        duration=ended - transaction,
                        commit=ended - began if ending == "commit" else None,
                    )

        return timed

    def _left(self, plain: Method, outcome: Literal["released", "rollback"]) -> Method:
        def told(connection: Any, *args: Any, **options: Any) -> Any:
            failed = True
            try:
                answer = plain(connection, *args, **options)  # a statement, which spends its own time
                failed = False
                return answer
            finally:
                if self._open:
                    savepoint_ended.emit(pool=self._name, outcome="failed" if failed else outcome)

        return told


def take_part(kept: Kept, context: Any, *, writes: bool) -> None:
    """Count a statement into its transaction, if that is one at all, which is seen at its first statement."""
    if kept.transaction is None:
        return
    if not kept.checked:
        kept.checked = True
        if autocommits(context.root_connection):
            kept.transaction = None
    if writes:
        kept.matters = True


def autocommits(connection: Connection) -> bool:
    """Tell whether each statement is a transaction of its own: there "begin" is said and nothing begins."""
    options = connection.get_execution_options()
    if "isolation_level" in options:
        return bool(options["isolation_level"] == "AUTOCOMMIT")
    return getattr(connection.dialect, "_on_connect_isolation_level", None) == "AUTOCOMMIT"
