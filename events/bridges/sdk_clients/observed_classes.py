"""Classes derived from somebody else's, for one object of it: a method of it is overridden, and nothing is replaced.

Unlike a function in place of the object's method, which would refer to the object that refers to it, they leave no
cycle to the garbage collector.
"""

from __future__ import annotations

from typing import Any


def derive_class(cls: Any, **members: Any) -> Any:
    """Return a class that is derived from another one and looks like it, with members of its own.

    Raises:
        TypeError: The class does not want to be derived from.
    """
    names = {name: getattr(cls, name) for name in ("__module__", "__qualname__", "__doc__")}
    return type(cls)(cls.__name__, (cls,), {**names, **members})


def set_class(value: Any, cls: Any) -> None:
    """Have an object be of a class that is derived from its own.

    Raises:
        TypeError: Its class has ``__slots__`` alone, so that its objects cannot be of another.
    """
    try:
        value.__class__ = cls
    except TypeError as error:
        raise TypeError(f"{cls.__module__}.{cls.__qualname__} has __slots__ alone: it cannot be observed") from error
