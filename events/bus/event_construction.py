"""Builds frozen events as fast as mutable ones."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Collection
from dataclasses import MISSING, field, fields, make_dataclass
from functools import lru_cache
from typing import Any


def mutable_twin(event: type[Any], *, completed: bool = False) -> type[Any] | None:
    """Return a mutable dataclass with the fields of a frozen one, whose instances can be turned into frozen ones.

    A frozen dataclass sets each field by ``object.__setattr__``, which takes three times as long as plain assignment.
    An instance of the twin is filled by plain assignment and then frozen by ``instance.__class__ = event``. None where
    building an event does more than set its fields: its class inherits, or has a ``__post_init__``, ``__init__`` or
    ``__new__`` of its own. ``completed`` is for those that have a ``__post_init__`` of no arguments, which is the
    caller's to call.
    """
    own = vars(event)
    code = getattr(own.get("__init__"), "__code__", None)
    generated = code is not None and code.co_filename == "<string>"  # the file name that dataclasses compiles under
    completes = "__post_init__" in own
    if not generated or event.__bases__ != (object,) or "__new__" in own or completes != completed:
        return None
    if completes and own["__post_init__"].__code__.co_argcount != 1:
        return None
    specs = [(each.name, each.type, copy_field(each)) for each in fields(event)]
    twin: Any = make_dataclass(
        event.__name__,
        specs,
        kw_only=True,
        slots="__slots__" in own,
        # None of these is ever read of a twin, and to make them takes as long as all the rest.
        repr=False,
        eq=False,
        namespace={"__doc__": event.__name__},
    )
    twin.__init__.__qualname__ = own["__init__"].__qualname__  # Python quotes it where arguments do not fit
    try:
        object.__new__(twin).__class__ = event
    except TypeError:  # another memory layout, as with slots declared by hand
        return None
    return twin  # type: ignore[no-any-return]  # a class


def copy_field(each: Any) -> Any:
    """Return a new dataclass field with the default of another one."""
    return field(default=each.default, default_factory=each.default_factory, init=each.init)


def construct_function(event: type[Any]) -> Callable[..., Any]:
    """Return a function that builds events of a class whose ``__post_init__`` completes them, as fast as others."""
    twin = mutable_twin(event, completed=True)
    if twin is None:
        return event

    def construct(**fields: Any) -> Any:
        instance = twin(**fields)
        instance.__class__ = event
        instance.__post_init__()
        return instance

    return construct


def fits(event: type[Any], names: Collection[str]) -> bool:
    """Return whether an event can be built of fields of these names: it has them all, and needs no other."""
    specs = {each.name: each for each in fields(event) if each.init}
    required = {name for name, spec in specs.items() if spec.default is MISSING and spec.default_factory is MISSING}
    return required <= {*names} <= specs.keys()


def is_plain(event: type[Any]) -> bool:
    """Return whether each field of an event's class can be set, and has either no default or one for all events."""
    return all(each.init and each.default_factory is MISSING for each in fields(event))


@lru_cache(512)
def construct_function_for(event: type[Any], names: tuple[str, ...]) -> Callable[[dict[str, Any]], Any] | None:
    """Return a function that builds events of fields of these names, which are passed as a dict in this order.

    To match forty parameters with ten arguments takes longer than to set forty fields, so the code is generated. None
    where no event can be built of these fields, or only by its class.
    """
    completed = mutable_twin(event) is None
    twin = mutable_twin(event, completed=completed)
    if twin is None or not (is_plain(event) and fits(event, names)):
        return None
    defaults = {each.name: each.default for each in fields(event) if each.name not in names}
    lines = [
        f"def construct({', '.join(['fields', *(f'{name}=default_{name}' for name in defaults)])}):",
        "    event = new(twin)",
        *([f"    {', '.join(f'event.{name}' for name in names)}, = fields.values()"] if names else []),
        *(f"    event.{name} = {name}" for name in defaults),
        "    event.__class__ = event_class",
        *(["    event.__post_init__()"] if completed else []),
        "    return event",
    ]
    file_name = f"<{__package__} {event.__name__}({', '.join(names)})>"
    source = "".join(f"{line}\n" for line in lines)
    linecache.cache[file_name] = len(source), None, source.splitlines(keepends=True), file_name
    scope: dict[str, Any] = {"new": object.__new__, "twin": twin, "event_class": event}
    scope |= {f"default_{name}": default for name, default in defaults.items()}
    exec(compile(source, file_name, "exec"), scope)  # noqa: S102  # made of names of fields alone
    return scope["construct"]  # type: ignore[no-any-return]  # the function above
