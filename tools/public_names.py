"""Where the public names of a package are defined: read from the source, since a bridge's library may be missing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("events", "metrics", "traces")
SHARED = frozenset({"model_calls", "sdk_clients"})
"""What bridges share: no part of it is public."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign


@dataclass(frozen=True, slots=True)
class PublicName:
    """A public name: its definitions, of which an overloaded function has several, or a module."""

    name: str
    definitions: tuple[Definition, ...]
    doc: str
    """The docstring, also that below an assignment; empty where there is none."""


def public_packages() -> list[str]:
    """Return the packages that have public names: those at the top, then the bridges."""
    folders = sorted(path.parent for path in (ROOT / "events" / "bridges").glob("*/__init__.py"))
    return [
        *PACKAGES,
        "metrics.testing",
        *(f"events.bridges.{folder.name}" for folder in folders if folder.name not in SHARED),
    ]


def names_of(package: str) -> list[PublicName]:
    """Return what the `__all__` of a package has, in its order."""
    path = source_of(package)
    for node in parse(path).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                return [find_name(path, name) for name in ast.literal_eval(value)]
    raise LookupError(f"{path} has no __all__ that can be read")


def module_doc(package: str) -> str:
    """Return the docstring of a package."""
    return ast.get_docstring(parse(source_of(package))) or ""


def find_name(path: Path, name: str) -> PublicName:
    """Return what a module's name is, wherever it was imported from.

    Raises:
        LookupError: Nothing in the repository defines it.
    """
    definitions: list[Definition] = []
    doc = ""
    body = [*statements(parse(path).body)]
    for node, after in zip(body, [*body[1:], None], strict=True):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() if node.name == name:
                definitions.append(node)
                doc = ast.get_docstring(node) or doc
            case ast.Assign(targets=[ast.Name(id=target)]) | ast.AnnAssign(target=ast.Name(id=target)) if (
                target == name
            ):
                definitions.append(node)
                match after:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        doc = " ".join(text.split())
            case ast.ImportFrom(names=aliases):
                for alias in aliases:
                    if (alias.asname or alias.name) == name:
                        return find_import(path, node, alias.name)
    if not definitions:
        raise LookupError(f"{name} is not defined in {path}")
    return PublicName(name, tuple(definitions), doc)


def find_import(path: Path, statement: ast.ImportFrom, name: str) -> PublicName:
    """Return what a statement imports under a name: a part of a module, or a module."""
    if statement.level:
        folder = path.parents[statement.level - 1]
        module = folder.joinpath(*(statement.module or "").split("."))
    else:
        module = ROOT.joinpath(*(statement.module or "").split("."))
    if (file := module / f"{name}.py").is_file():
        return PublicName(name, (), ast.get_docstring(parse(file)) or "")
    return find_name(module / "__init__.py" if module.is_dir() else module.with_suffix(".py"), name)


def source_of(package: str) -> Path:
    """Return the file of a package."""
    return ROOT.joinpath(*package.split("."), "__init__.py")


@cache
def parse(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text("utf-8"))


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module, those under its conditions too."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from statements([*node.body, *node.orelse])
