"""How to emit a statement: worked out once for those that are alike, and stored on what SQLAlchemy has compiled."""

from __future__ import annotations

from typing import Any

from sqlalchemy import MetaData

from ...database import Cache, Operation, query_executed
from .fetch import FetchedStatement
from .internals.computed_rows import has_computed_rows
from .internals.execution import context_is_readable
from .statement_info import StatementPlan, cache_outcome, classify_statement, statement_state
from .table_labels import TableLabels
from .transaction_steps import Steps, transaction_steps

_READ_ONLY = frozenset({"select", "set", "savepoint"})
_MOST_PLANS = 1000  # without metadata, any text names tables


class StatementPlans:
    """The plans of the statements of one engine.

    Args:
        engine: Its name in events.
        metadata: The tables that are named; any where None.
        slow_seconds: From how many seconds on the statements of a result are slow.
        own: Whether its statements are the application's own.
    """

    def __init__(self, engine: str, metadata: MetaData | None, slow_seconds: float, *, own: bool) -> None:
        self._engine = engine
        self._own = own
        self._slow_seconds = slow_seconds
        self._tables = TableLabels(metadata)
        self._may_be_stored = context_is_readable()  # who finds a stored plan reads private attributes
        self._plans: dict[tuple[Operation, str, Cache, bool, Steps], StatementPlan] = {}
        labels = ("operation", "table", "cache", "slow")
        self._emitters = query_executed.bind_by(labels, ("duration", "rows"), engine=engine, own=own)

    def classify(self, context: Any, statement: str) -> tuple[Operation, str]:
        """Return the operation and the label of the table of what a context executes."""
        operation, table = classify_statement(context, statement)
        return operation, self._tables.label(table)

    def fetched(self, operation: Operation, table: str) -> FetchedStatement:
        """Return what is emitted of the rows of such statements."""
        return FetchedStatement(self._engine, operation, table, self._slow_seconds, self._own)

    def stored(self, context: Any, statement: str) -> StatementPlan | None:
        """Return the plan that is stored for a context's own statement, if there is one, and it is of these."""
        stored = getattr(context.compiled, "events_statement", None)
        plan: StatementPlan | None = None if stored is None else stored.plan
        is_own = plan is not None and plan.owner is self and statement is getattr(context, "statement", None)
        return plan if is_own else None

    def make(self, context: Any, statement: str, *, slow: bool) -> StatementPlan:
        """Return what to emit of a statement; stored on its compiled form if that holds each time it is executed."""
        operation, table = self.classify(context, statement)
        cache = cache_outcome(context)
        key = operation, table, cache, slow
        steps = transaction_steps(operation, statement)
        plan = self._plans.get((*key, steps))
        if plan is None:
            plan = StatementPlan(
                owner=self,
                operation=operation,
                table=table,
                steps=steps,
                # SQLite never says how many it reads.
                counts_rows=not (operation in _READ_ONLY and context.dialect.name == "sqlite"),
                emit=self._emitters[key],
                fetched=self.fetched(operation, table),
                computes_rows=has_computed_rows(context),
            )
            if len(self._plans) < _MOST_PLANS:
                self._plans[*key, steps] = plan
        is_own = statement is getattr(context, "statement", None)
        if self._may_be_stored and is_own and self._tables.is_final(table) and cache == "hit" and not slow:
            stored = statement_state(context.compiled)
            stored.plan, stored.plain_plan = plan, None if steps else plan
        return plan
