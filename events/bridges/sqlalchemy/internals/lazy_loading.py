"""Which statement of the ORM is a lazy load, and of which relationship."""

# ruff: noqa: SLF001  # the package's very purpose

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

from sqlalchemy import event, literal, select

from .self_tests import self_test


@dataclass(frozen=True, slots=True)
class LazyLoads:
    """How a lazy load is recognized: by one of its execution options."""

    option: str
    origin: Callable[[Any], Any]  # of the option's value: the object that is loaded for, None if this is no lazy load
    path: Callable[[Any], Any]  # of the execution context: the loader path, which ends in the relationship


PRIVATE = LazyLoads(
    "_sa_orm_load_options",
    attrgetter("_lazy_loaded_from"),
    attrgetter("compiled.statement._compile_options._current_path"),
)
_MARK = "events_lazy_load"
PUBLIC = LazyLoads(_MARK, lambda path: path, lambda context: context.execution_options[_MARK])


def lazy_loads() -> LazyLoads:
    """Return how lazy loads are recognized.

    The public alternative is a listener to ``do_orm_execute`` of every session, at twice the cost; it is never removed.
    """
    # Where the ORM was not imported, doing so for the test alone would slow down programs that do without it.
    if "sqlalchemy.orm" not in sys.modules or lazy_loads_are_known():
        return PRIVATE
    from sqlalchemy.orm import Session

    if not event.contains(Session, "do_orm_execute", mark_lazy_load):
        event.listen(Session, "do_orm_execute", mark_lazy_load)
    return PUBLIC


SUBCLASS_KEYS = "primary_keys"
"""The parameter by which the ORM loads what subclasses have of objects that it loaded, some hundred at a time."""


def is_eager_load(context: Any) -> bool:
    """Return whether a statement loads more of what another one loaded.

    That is relationships, as ``selectinload`` does, and columns of subclasses, as ``selectin_polymorphic`` does. Where
    this version has no such attributes, no statement does.
    """
    options = context.execution_options.get(PRIVATE.option)
    try:
        if options is None:  # binds: a compiled statement's parameters, which text of a driver and DDL do not have
            return SUBCLASS_KEYS in getattr(context.compiled, "binds", ()) and PRIVATE.path(context) is not None
        return PRIVATE.origin(options) is None and not PRIVATE.path(context).is_root
    except AttributeError:
        return False


def mark_lazy_load(state: Any) -> None:
    """Add its loader path to the execution options of a lazy load."""
    # Not "is_relationship_load", which is true as well for selectinload, the cure.
    if state.is_select and state.lazy_loaded_from is not None:
        state.update_execution_options(**{_MARK: state.loader_strategy_path})


@self_test("lazy loads are seen by a listener to every session, which takes longer")
def lazy_loads_are_known() -> bool:
    """Return whether the private attributes are what `ORMExecuteState` publishes of a lazy load, and of another one."""
    from sqlalchemy import orm

    made_by: Any = orm.ORMExecuteState
    context_module: Any = sys.modules["sqlalchemy.orm.context"]
    compile_state = getattr(context_module, "_ORMCompileState", None) or context_module.ORMCompileState  # 2.1, or 2.0
    origin, path = object(), object()
    statement: Any = select(literal(1))
    statement._compile_options = compile_state.default_compile_options + {"_current_path": path}
    context = SimpleNamespace(compiled=SimpleNamespace(statement=statement))
    default = context_module.QueryContext.default_load_options
    for options, expected in ((default, None), (default + {"_lazy_loaded_from": origin}, origin)):
        state = made_by(None, statement, None, {PRIVATE.option: options}, {}, None, [])
        if PRIVATE.origin(options) is not expected or state.lazy_loaded_from is not expected:
            return False
        if PRIVATE.path(context) is not path or state.loader_strategy_path is not path:
            return False
    return True
