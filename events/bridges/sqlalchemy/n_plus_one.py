"""N+1 detection: statements that one caller sends again and again, and relationships that are loaded lazily.

Repeats are counted and emitted where statements are attributed to their callers: `attribution.account_query`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine.interfaces import ExecuteStyle

from ...database import Caller, relationship_loaded
from .internals.lazy_loading import is_eager_load

REPEATS = 5
"""How often one caller may send a statement before each further time is emitted as `query_repeated`."""

_MOST_STATEMENTS = 1000  # counted for one caller, which may run for hours


class RepeatCounter:
    """How often each statement was sent by one caller."""

    def __init__(self) -> None:
        self._times: dict[Any, int] = {}

    def add(self, key: Any) -> int:
        """Count a statement; return how often it was sent, or 0 if it is one of too many to be counted."""
        if key not in self._times and len(self._times) >= _MOST_STATEMENTS:
            return 0
        times = self._times[key] = self._times.get(key, 0) + 1
        return times


def is_batch(context: Any) -> bool:
    """Return whether a statement is one of several that do for many rows what one would: a cure for N+1, not a case.

    That is what loads relationships eagerly, as ``selectinload`` does by 500 keys at a time, and each batch but the
    first of an INSERT of many rows.
    """
    if getattr(context, "execute_style", None) is ExecuteStyle.INSERTMANYVALUES:
        is_first = not getattr(context, "events_batched", False)
        context.events_batched = True
        return not is_first
    return is_eager_load(context)


def emit_lazy_load(path: Any, caller: Caller) -> None:
    """Emit `relationship_loaded`: SQLAlchemy sent a query because a relationship was touched that was not loaded.

    ``path`` is the ORM's loader path, which ends in the relationship.
    """
    name = f"{path.prop.parent.class_.__name__}.{path.prop.key}" if hasattr(path, "prop") else "unknown"
    relationship_loaded.emit(relationship=name, scope=caller)
