"""The facts in an execution context about its statement: operation, table, and whether it was compiled before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import TableClause
from sqlalchemy.engine.interfaces import CacheStats, ExecuteStyle

from ...bus.emitters import EmitFn
from ...database import Cache, Operation
from .fetch import FetchedStatement
from .sql import StatementInfo, describe_cached
from .sql.keywords import table_label
from .sql.literals import without_variables
from .transaction_steps import Steps

_HIT = CacheStats.CACHE_HIT
"""The value of nearly all statements, compared by identity: looking up an enum's member takes ten times as long."""

_CACHE_OUTCOMES: dict[CacheStats, Cache] = {
    _HIT: "hit",
    CacheStats.CACHE_MISS: "miss",
    CacheStats.CACHING_DISABLED: "disabled",
    CacheStats.NO_CACHE_KEY: "no_key",
    CacheStats.NO_DIALECT_SUPPORT: "disabled",
}


@dataclass(frozen=True, slots=True)
class StatementPlan:
    """How to emit the executions of a compiled statement: the same each time, so it is worked out once."""

    owner: object  # the `StatementPlans` that made it; another one makes its own
    operation: Operation
    table: str
    steps: Steps
    counts_rows: bool
    emit: EmitFn  # takes (duration, rows)
    fetched: FetchedStatement
    computes_rows: bool


class StatementState:
    """The state stored on a compiled statement, as ``events_statement``, for as long as SQLAlchemy caches that.

    ``plain_plan`` is the plan where the statement neither begins nor ends a transaction.
    """

    __slots__ = ("info", "key", "plain_plan", "plan")

    def __init__(self) -> None:
        self.info: StatementInfo | None = None
        self.key: tuple[object, str] | None = None
        self.plan: StatementPlan | None = None
        self.plain_plan: StatementPlan | None = None


def statement_state(compiled: Any) -> StatementState:
    """Return the state of a compiled statement; a new one if it has none."""
    state: StatementState | None = getattr(compiled, "events_statement", None)
    if state is None:
        state = compiled.events_statement = StatementState()
    return state


def classify_statement(context: Any, statement: str) -> StatementInfo:
    """Return operation and table of what a context executes.

    They are stored on the compiled form, not by the text, since an IN list changes the text each time. A context also
    executes what is not its own statement: the lookup of a sequence or a default, while its own is still being built.
    """
    compiled = context.compiled
    if compiled is None or not (statement is getattr(context, "statement", None) or _is_own(context, statement)):
        return describe_cached(statement)
    state = statement_state(compiled)
    if state.info is None:
        state.info = _info_from_construct(context) or describe_cached(statement)
    return state.info


def _is_own(context: Any, statement: str) -> bool:
    """Return whether a text is a context's own statement, changed: a batch of its rows, or with a comment added."""
    own: str | None = getattr(context, "statement", None)
    return own is not None and (context.execute_style is ExecuteStyle.INSERTMANYVALUES or own in statement)


def _info_from_construct(context: Any) -> StatementInfo | None:
    """Return operation and table of an INSERT, UPDATE or DELETE by the construct's attributes, if it has plain ones."""
    table = getattr(context.compiled.statement, "table", None)
    if not isinstance(table, TableClause):
        return None
    label = table_label(table.schema or "", str(table.name))
    if context.isinsert:
        return "insert", label
    if context.isupdate:
        return "update", label
    return ("delete", label) if context.isdelete else None


def cache_outcome(context: Any) -> Cache:
    """Return whether the statement was compiled before; ``none`` for text, which is not compiled."""
    return "none" if context.compiled is None else _CACHE_OUTCOMES.get(context.cache_hit, "none")


def statement_key(context: Any, statement: str, owner: object) -> object:
    """Return what is equal for repeats of one statement by one engine, ``owner``: its text without what varies.

    That is the same for text and for constructs. Of what was compiled it is the text before IN lists are filled in,
    and it is stored on the compiled form.
    """
    compiled = context.compiled
    if compiled is None:
        return owner, without_variables(statement)
    state = statement_state(compiled)
    if state.key is None or state.key[0] is not owner:
        state.key = owner, without_variables(compiled.string or statement)
    return state.key
