"""Callers of queries: the request, agent or workflow that the bus's context says is running, and how much it used.

A query that one caller sends again and again is emitted as repeated here; `n_plus_one` has how often that is.
"""

from __future__ import annotations

from threading import RLock
from typing import Any

from ...bus.scope import Scope, get_effective_scope
from ...database import Caller, database_used, query_repeated
from .n_plus_one import REPEATS, RepeatCounter
from .repeat_log import log_repeated_statement

CALLERS: dict[str, Caller] = {"http_request": "http", "agent": "agent", "workflow": "workflow"}
"""The kinds of scope that queries are attributed to, with the value that each has in events."""

_FIELDS = ("agent_name", "run_id", "endpoint", "applications", "workflow_type")
_HOOK = "sqlalchemy"  # under which a scope holds its account


def innermost_caller(scope: Scope | None) -> Caller:
    """Return what kind of caller a scope belongs to: the innermost one that is still running, or ``none``."""
    while scope is not None:
        caller = CALLERS.get(scope.kind)
        if caller is not None and not scope.ended:
            return caller
        scope = scope.parent
    return "none"


class QueryAccount:
    """The queries of one scope: attached to it, and emitted as `database_used` when it ends."""

    def __init__(self, scope: Scope, caller: Caller) -> None:
        self._fields = scope.fields  # the endpoint of a request is known at its end
        self._caller = caller
        self.queries = 0
        self.repeated = 0
        self.seconds = 0.0
        self.repeats = RepeatCounter()
        # Reentrant: the garbage collector may return a connection to its pool in here, which sends a query.
        self.lock = RLock()

    def end(self) -> None:
        """Emit the totals."""
        fields = {name: self._fields[name] for name in _FIELDS if name in self._fields}
        database_used.emit(
            scope=self._caller, queries=self.queries, duration=self.seconds, repeated=self.repeated, **fields
        )


def account_query(seconds: float, key: Any, table: str) -> None:
    """Add a query to the account of every caller that the code runs in, and emit `query_repeated` where it repeats.

    Repeats are counted for the innermost caller only: the same query from several agents of one workflow is no repeat.
    ``key`` is equal for repeats of one statement (`statement_info.statement_key`), None for a statement that may be
    repeated.
    """
    scope = get_effective_scope()
    innermost = True
    while scope is not None:
        caller = CALLERS.get(scope.kind)
        if caller is not None and not scope.ended:
            account: Any = scope.hooks.get(_HOOK)
            if account is None:
                account = scope.attach(_HOOK, QueryAccount(scope, caller))
            with account.lock:
                account.queries += 1
                account.seconds += seconds
                times = account.repeats.add(key) if innermost and key is not None else 0
            if caller == "http":
                scope.aggregate("query_executed", {"duration": seconds})
            if times == 1:  # its first repetition is to be seen, long before it is one
                query_repeated.announce(scope=caller, table=table)
            if times > REPEATS:
                account.repeated += 1
                query_repeated.emit(scope=caller, table=table)
                if times == REPEATS + 1:
                    log_repeated_statement(table, times, key[1], scope)
            innermost = False
        scope = scope.parent


def account_fetching(scope: Scope | None, seconds: float) -> None:
    """Add the time of fetching rows to the account of every caller that the code runs in."""
    while scope is not None:
        caller = CALLERS.get(scope.kind)
        if caller is not None and not scope.ended:
            account: Any = scope.hooks.get(_HOOK)
            if account is None:
                account = scope.attach(_HOOK, QueryAccount(scope, caller))
            with account.lock:
                account.seconds += seconds
            if caller == "http":
                scope.aggregate("query_executed", {"duration": seconds})
        scope = scope.parent
