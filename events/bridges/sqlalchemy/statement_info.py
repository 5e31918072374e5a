"""What an execution context says of its statement: what it does, to which table, whether it was compiled before."""

from __future__ import annotations

from typing import Any

from sqlalchemy import TableClause
from sqlalchemy.engine.interfaces import CacheStats, ExecuteStyle

from ...database import Cache
from .attribution import without_literals
from .sql import Description, remembered
from .sql.keywords import label_of

HIT = CacheStats.CACHE_HIT
"""What nearly all are, compared by identity: looking an enum's member up takes ten times as long."""

_CACHES: dict[CacheStats, Cache] = {
    HIT: "hit",
    CacheStats.CACHE_MISS: "miss",
    CacheStats.CACHING_DISABLED: "disabled",
    CacheStats.NO_CACHE_KEY: "no_key",
    CacheStats.NO_DIALECT_SUPPORT: "disabled",
}


def meaning_of(context: Any, statement: str) -> Description:
    """Name operation and table of what a context sends.

    They are remembered on the compiled form, not for the text: an IN list changes the text each time. A context also
    sends what is not its own statement: the look-up of a sequence or a default, while its own is still being made.
    """
    compiled = context.compiled
    if compiled is None or not (statement is getattr(context, "statement", None) or is_made_of(context, statement)):
        return remembered(statement)
    meaning: Description | None = getattr(compiled, "events_meaning", None)
    if meaning is None:
        meaning = compiled.events_meaning = written_by(context) or remembered(statement)
    return meaning


def is_made_of(context: Any, statement: str) -> bool:
    """Tell whether a text is a context's own statement, changed: a batch of its rows, or with a listener's comment."""
    own: str | None = getattr(context, "statement", None)
    return own is not None and (context.execute_style is ExecuteStyle.INSERTMANYVALUES or own in statement)


def written_by(context: Any) -> Description | None:
    """Name the table of an INSERT, UPDATE or DELETE by the statement's own attributes, where it has plain ones."""
    table = getattr(context.compiled.statement, "table", None)
    if not isinstance(table, TableClause):
        return None
    label = label_of(table.schema or "", str(table.name))
    if context.isinsert:
        return "insert", label
    if context.isupdate:
        return "update", label
    return ("delete", label) if context.isdelete else None


def cache_of(context: Any) -> Cache:
    """Tell whether the statement was compiled before; text as the program wrote it needs no compiling."""
    return "none" if context.compiled is None else _CACHES.get(context.cache_hit, "none")


def form_of(context: Any, statement: str) -> object:
    """Give what repeated statements have in common: an IN list changes the text, not the compiled form."""
    is_cached = context.cache_hit is HIT or cache_of(context) == "miss"
    return context.compiled if is_cached else without_literals(statement)
