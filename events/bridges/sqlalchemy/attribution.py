"""Who asked: the request, agent or workflow that the bus's context says is under way, and how often it asked."""

from __future__ import annotations

import re
from threading import RLock
from typing import Any

from ...bus.context import Scope, current_scope
from ...database import Caller, database_used, query_repeated, relationship_loaded

KINDS: dict[str, Caller] = {"http_request": "http", "agent": "agent", "workflow": "workflow"}

REPEATS = 5
"""How often one stretch of work may send a statement before each further time is told."""

_MOST_STATEMENTS = 1000  # kept apart for one asker, which may last for hours
_NAME = "sqlalchemy"
_LITERALS = re.compile(
    r"""
      [eE]'[^'\\]*(?:(?:\\.|'')[^'\\]*)*'?
    | (?:'[^'\\]*(?:\\(?:'(?=\w))?[^'\\]*)*'?)+   # a backslash before a quote and a letter escapes, as in `sql.lexer`
    | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)
    | \b0[xX][0-9a-fA-F]+\b | \b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b
    """,
    re.VERBOSE | re.DOTALL,
)
"""What SQL carries of values; one that is never closed reaches to the end."""


def without_literals(statement: str) -> str:
    """Blank out what a statement's text carries of values."""
    return _LITERALS.sub("?", statement)


def innermost(scope: Scope | None) -> Caller:
    """Name who asks in a scope of the bus."""
    while scope is not None:
        kind = KINDS.get(scope.kind)
        if kind is not None and not scope.ended:
            return kind
        scope = scope.parent
    return "none"


class Account:
    """What one stretch of work asked; attached to its scope, told when that ends."""

    def __init__(self, scope: Scope, kind: Caller) -> None:
        self._fields = {name: scope.fields[name] for name in ("agent_name", "run_id") if name in scope.fields}
        self._kind = kind
        self._queries = 0
        self._seconds = 0.0
        self._times: dict[Any, int] = {}
        self._adding = RLock()  # the garbage collector may give a connection back in here, which asks

    def add(self, seconds: float, form: Any) -> int:
        """Count a query; answer how often this form of statement was sent, 0 where that is not counted."""
        with self._adding:
            self._queries += 1
            self._seconds += seconds
            if form is None or (form not in self._times and len(self._times) >= _MOST_STATEMENTS):
                return 0
            times = self._times[form] = self._times.get(form, 0) + 1
            return times

    def end(self) -> None:
        """Tell the whole."""
        database_used.emit(scope=self._kind, queries=self._queries, duration=self._seconds, **self._fields)


def account(seconds: float, form: Any, table: str) -> None:
    """Count a query for everybody inside whom it was asked.

    Only the innermost one is held to repeat itself: a workflow whose agents each look the same thing up does not.
    ``form`` is what repeated statements have in common, None for those that may be repeated.
    """
    scope = current_scope.get()
    inner = True
    while scope is not None:
        kind = KINDS.get(scope.kind)
        if kind is not None and not scope.ended:
            kept = scope.hooks.get(_NAME)
            if kept is None:
                kept = scope.hooks.setdefault(_NAME, Account(scope, kind))
            times = kept.add(seconds, form if inner else None)  # type: ignore[attr-defined]  # it is ours, by its name
            if times > REPEATS:
                query_repeated.emit(scope=kind, table=table)
            inner = False
        scope = scope.parent


def tell_lazy_load(context: Any) -> None:
    """Tell a query that SQLAlchemy sends because a relationship was touched that nobody had loaded."""
    path = context.compiled.statement._compile_options._current_path  # noqa: SLF001 - nothing public has it here
    name = f"{path.prop.parent.class_.__name__}.{path.prop.key}" if hasattr(path, "prop") else "unknown"
    relationship_loaded.emit(relationship=name, scope=innermost(current_scope.get()))
