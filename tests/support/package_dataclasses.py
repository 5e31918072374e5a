"""The dataclasses that a package declares."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from importlib import import_module
from inspect import getmembers
from pkgutil import walk_packages
from types import ModuleType
from typing import Any


def dataclasses_of(package: ModuleType) -> dict[str, Any]:
    """Return the dataclasses of all modules in a package, by name, but of those whose library is not installed."""
    names = (each.name for each in walk_packages(package.__path__, f"{package.__name__}."))
    return {
        name: member
        for module in filter(None, map(imported, names))
        for name, member in getmembers(module, is_dataclass)
        if isinstance(member, type) and member.__module__ == module.__name__
    }


def imported(name: str) -> ModuleType | None:
    """Return a module; None where it needs a library that is in an environment of its own."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in {"app", "events", "metrics", "traces"}:
            raise
        return None


def is_made_by_keyword(dataclass: Any) -> bool:
    """Return whether all fields of a dataclass are passed by their names."""
    return all(each.kw_only for each in fields(dataclass))
