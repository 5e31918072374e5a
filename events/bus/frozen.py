"""Frozen events made as fast as mutable ones."""

from __future__ import annotations

from dataclasses import field, fields, make_dataclass
from typing import Any


def mutable_twin(event: type[Any]) -> type[Any] | None:
    """Give a class of the same shape whose objects can take ``event`` as their class once they are filled.

    A frozen dataclass fills each field by ``object.__setattr__``, which takes thrice as long as plain assignment; an
    object of the answer is filled plainly, then frozen by ``made.__class__ = event``. None where making an event takes
    more than filling its fields: it inherits, or has a ``__post_init__``, ``__init__`` or ``__new__`` of its own.
    """
    own = vars(event)
    code = getattr(own.get("__init__"), "__code__", None)
    generated = code is not None and code.co_filename == "<string>"  # what dataclasses gives its own functions
    if not generated or event.__bases__ != (object,) or {"__new__", "__post_init__"} & own.keys():
        return None
    shape = [(each.name, each.type, like(each)) for each in fields(event)]
    twin: Any = make_dataclass(event.__name__, shape, kw_only=True, slots="__slots__" in own)
    twin.__init__.__qualname__ = own["__init__"].__qualname__  # Python names it where fields do not fit
    try:
        object.__new__(twin).__class__ = event
    except TypeError:  # laid out otherwise, as with slots named by hand
        return None
    return twin  # type: ignore[no-any-return]  # a class


def like(each: Any) -> Any:
    """Declare a field once more."""
    return field(default=each.default, default_factory=each.default_factory, init=each.init)
