"""The files of the bridges of `events` that a source scan reads: a bridge's own, and those of what bridges share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from events import bridges

ROOT = Path(bridges.__path__[0])
SHARED = ("model_calls", "sdk_clients")
"""Packages that bridges share: they emit for whichever bridge imports them."""


def bridge_names() -> Iterator[str]:
    """Yield the name of each bridge."""
    for path in sorted(ROOT.glob("*/__init__.py")):
        if path.parent.name not in SHARED:
            yield path.parent.name


def bridge_paths(bridge: str) -> list[Path]:
    """Return the files of a bridge, which is a module or a package; none if there is no such bridge."""
    spec = find_spec(f"{bridges.__name__}.{bridge}")
    if spec is None or spec.origin is None:
        return []
    module = Path(spec.origin)
    return sorted(module.parent.rglob("*.py")) if spec.submodule_search_locations else [module]


@cache  # the files of a package stay where they are, and each bridge imports much that others import too
def imported_paths(path: Path, level: int, name: str) -> tuple[Path, ...]:
    """Return the files of bridges that a relative import brings in, as ``from ..model_calls.tool_use import ToolUse``.

    Args:
        path: The file that imports.
        level: The number of dots.
        name: The module and what is imported from it, which may be a module too.
    """
    folder = path.parents[level - 1]
    parts = name.split(".")
    return tuple(
        file
        for module in (folder.joinpath(*parts), folder.joinpath(*parts[:-1]))
        for file in (module.with_suffix(".py"), module / "__init__.py")
        if ROOT in file.parents and module != folder and file.is_file()
    )
