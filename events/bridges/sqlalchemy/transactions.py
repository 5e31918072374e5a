"""How transactions end, timed around the dialect's own work: SQLAlchemy's events come before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any, Literal

from sqlalchemy import Connection, Dialect

from ...database import savepoint_ended, transaction_ended
from ...signal import tell_failure
from .kept import OURS, Kept, Transaction, guarded, kept_of

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

    def listeners(self) -> Iterator[tuple[str, Any, dict[str, bool]]]:
        """Give the listeners, with what they listen to."""
        yield "begin", guarded(transaction_ended.name, self._begun), {}
        yield "begin_twophase", guarded(transaction_ended.name, self._begun), {}

    def wrap(self, dialect: Dialect) -> None:
        """Put a clock around what ends transactions and savepoints."""
        for method in (*ENDINGS, *SAVEPOINTS):
            timed = self._timed(method, getattr(dialect, method))
            self._wrapped[method] = vars(dialect).get(method), timed
            setattr(dialect, method, timed)

    def unwrap(self, dialect: Dialect) -> None:
        """Take the clocks off; one that somebody else has wrapped in the meantime only passes on."""
        self._open = False
        for method, (before, timed) in self._wrapped.items():
            if vars(dialect).get(method) is timed:
                if before is None:
                    delattr(dialect, method)
                else:
                    setattr(dialect, method, before)

    def _begun(self, connection: Connection, *_: Any) -> None:
        isolation = connection.get_execution_options().get(
            "isolation_level", getattr(connection.dialect, "_on_connect_isolation_level", None)
        )
        kept = kept_of(connection)
        if kept is not None and isolation != "AUTOCOMMIT":  # there "begin" is said and nothing begins
            kept.transaction = Transaction()

    def _timed(self, method: str, plain: Method) -> Method:
        ending = ENDINGS.get(method)

        def timed(connection: Any, *args: Any, **options: Any) -> Any:
            kept = kept_of(connection) if self._open else None
            if kept is None:
                return plain(connection, *args, **options)
            transaction: Transaction | None = None
            if ending is not None:  # taken here: of the calls nested in this one, and of a second one, nothing is told
                transaction, kept.transaction = kept.transaction, None
            began = perf_counter()
            failed = True
            try:
                answer = plain(connection, *args, **options)
                failed = False
                return answer
            finally:
                spent = perf_counter() - began
                try:
                    self._tell(method, kept, transaction, spent, failed=failed)
                except Exception as error:
                    tell_failure(transaction_ended.name, OURS, error)

        return timed

    def _tell(self, method: str, kept: Kept, transaction: Transaction | None, spent: float, *, failed: bool) -> None:
        ending = ENDINGS.get(method)
        if ending is None:  # a savepoint's statement spends its own time
            savepoint_ended.emit(pool=self._name, outcome="failed" if failed else SAVEPOINTS[method])
            return
        kept.spend(spent)
        if failed:
            kept.failed_in = ending
        if transaction is None:
            return
        outcome: Literal["commit", "rollback", "released", "failed"]
        if failed:
            outcome = "failed"
        elif ending == "rollback" and not transaction.matters:
            outcome = "released"
        else:
            outcome = ending
        transaction_ended.emit(
            pool=self._name,
            outcome=outcome,
            duration=perf_counter() - transaction.began,
            commit=spent if ending == "commit" else None,
        )
