"""Statements watched from their execution contexts: a fraction of what SQLAlchemy's events cost, which is opt-in."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from sqlalchemy import Dialect

from ...database import query_executed
from ...signal import tell_failure
from .kept import KEY, OURS
from .statements import Statements


class Fast:
    """Gives a dialect execution contexts that tell: a subclass of its own, since every dialect has another."""

    def __init__(self, dialect: Dialect, statements: Statements) -> None:
        self._before = vars(dialect).get("execution_ctx_cls")
        self._telling = telling_class(dialect.execution_ctx_cls, statements)
        dialect.execution_ctx_cls = self._telling

    def undo(self, dialect: Dialect) -> None:
        """Give the dialect its own contexts back, unless somebody has replaced ours."""
        if vars(dialect).get("execution_ctx_cls") is not self._telling:
            return
        if self._before is None:
            del dialect.execution_ctx_cls
        else:
            dialect.execution_ctx_cls = self._before


def telling_class(plain: Any, statements: Statements) -> Any:
    """Make a class like a dialect's execution contexts that tells when it executes."""
    pre_exec, post_exec, executed = plain.pre_exec, plain.post_exec, statements.executed

    class Telling(plain):  # type: ignore[misc]  # made while the program runs
        def pre_exec(self) -> None:
            pre_exec(self)
            self.events_sent = perf_counter(), self.statement, True

        def post_exec(self) -> None:
            ended = perf_counter()
            try:
                connection = self.root_connection
                executed(connection, connection.info.get(KEY), self.cursor, self, ended)
            except NotImplementedError:  # SQLAlchemy asks a new server this and that, on a connection without info
                pass
            except Exception as error:
                tell_failure(query_executed.name, OURS, error)
            post_exec(self)

    Telling.__name__, Telling.__qualname__, Telling.__module__ = plain.__name__, plain.__qualname__, plain.__module__
    return Telling
