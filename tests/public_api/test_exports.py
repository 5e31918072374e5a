"""What a package exports is documented, and what is public in it is exported."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

import events
import metrics
import traces
from events import Signal


@cache
def documented_constants(package: ModuleType) -> set[str]:
    """Return the names that a module of the package assigns and documents with a string below."""
    found: set[str] = set()
    for path in Path(str(package.__file__)).parent.rglob("*.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for statement, below in zip(body, [*body[1:], None], strict=True):
            targets = statement.targets if isinstance(statement, ast.Assign) else []
            targets = [statement.target] if isinstance(statement, ast.AnnAssign) else targets
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", events.__all__)
def test_a_public_name_is_documented(name: str) -> None:
    """A class, a function and a signal carry a docstring; a type alias and a span have a string below them."""
    value: Any = getattr(events, name)
    if isinstance(value, (type, FunctionType, ModuleType, Signal)):
        assert inspect.getdoc(value)
    else:
        assert name in documented_constants(events)


@pytest.mark.parametrize("package", [events, metrics, traces], ids=lambda one: str(one.__name__))
def test_every_public_name_is_exported_in_order(package: ModuleType) -> None:
    assert len({*package.__all__}) == len(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)  # some are imported when they are asked for
    public = {
        name
        for name, value in vars(package).items()
        if not name.startswith("_") and (name in package.__all__ or not isinstance(value, ModuleType))
    }
    assert {*package.__all__} == public
