"""The names of packages in source code, put inside of another package: ``events.llm`` becomes ``sparklio.events.llm``.

Imports are found in the syntax tree. In strings and comments a name is renamed where it can be nothing else:

- a dotted name of a module, or of something that a module binds: ``events.bridges.asgi``, ``metrics.subscribe``
- ``python -m metrics``, ``metrics:HTTP``, ``from events import``, and `events` alone in single backticks
- the argument of ``getLogger``

Everything else stays, as do the label value ``metrics``, the field ``events`` and the family ``events_total``. Lines
keep their numbers. What a file does cannot change: its syntax tree is compared before and after.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


class NameUnclear(ValueError):
    """A file names a package in a way that cannot be renamed."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A piece of a text, from one offset to another, and what takes its place."""

    start: int
    end: int
    replacement: str


@dataclass(frozen=True, slots=True)
class Renaming:
    """A renaming of top-level packages.

    Attributes:
        parent: The package that they are put inside of.
        bound_names: The names that each of their modules binds, by the module's dotted name.
    """

    parent: str
    bound_names: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, parent: str, packages: Iterable[Path]) -> Renaming:
        """Return the renaming of packages, whose files are read, not imported."""
        bound_names = {}
        for package in packages:
            for path in package.rglob("*.py"):
                module = ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
                bound_names[module] = frozenset(names_bound_by(ast.parse(path.read_text("utf-8")).body))
        return cls(parent, bound_names)

    @property
    def packages(self) -> list[str]:
        """The names of the packages."""
        return [name for name in self.bound_names if "." not in name]

    def source(self, text: str) -> str:
        """Return the source of a module with the names as they are inside of the other package.

        Raises:
            NameUnclear: an import binds the name of a package in a way that cannot be kept, or a replacement in an
                f-string changes what it does.
        """
        tree = ast.parse(text)
        lines = Lines(text)
        edits = {edit.start: edit for node in ast.walk(tree) for edit in self._edits_of(node, lines)}
        for start, end in strings_and_comments(lines):
            edits.setdefault(start, Edit(start, end, self.prose(text[start:end])))
        pieces, last = [], 0
        for edit in sorted(edits.values(), key=lambda edit: edit.start):
            pieces += [text[last : edit.start], edit.replacement]
            last = edit.end
        renamed = "".join([*pieces, text[last:]])
        if renamed != text and code_of(ast.parse(renamed)) != code_of(tree):
            raise NameUnclear("an f-string names something that looks like a package's: name it otherwise")
        return renamed

    def prose(self, text: str) -> str:
        """Return a docstring, a message, a comment or a document with the names inside of the other package."""
        name = f"(?P<name>{'|'.join(self.packages)})"
        inside = rf"{self.parent}.\g<name>"
        text = re.sub(rf"(?<![\w./-]){name}(?:\.\w+)+", lambda found: self._dotted(found[0]), text)
        text = re.sub(rf"(?m)^((?:.*>>> )?)import {name}$", rf"\1from {self.parent} import \g<name>", text)
        text = re.sub(rf"(?<=\bfrom ){name}(?= import\b)", inside, text)
        text = re.sub(rf"(?<=-m ){name}\b(?!\.\w)", inside, text)
        text = re.sub(rf"(?<![\w./-]){name}(?=:[A-Z])", inside, text)
        return re.sub(rf"(?<!`)`{name}`(?!`)", f"`{inside}`", text)

    def _edits_of(self, node: ast.AST, lines: Lines) -> Iterator[Edit]:
        """Yield the edits of an import, and of the name of a logger."""
        match node:
            case ast.ImportFrom(module=str(module), level=0) if self._is_inside(module):
                at = lines.text.index(module, lines.start_of(node))
                yield Edit(at, at, f"{self.parent}.")
            case ast.Import(names=[ast.alias(name=module)]) if module in self.packages:
                at = lines.start_of(node)
                yield Edit(at, at + len("import"), f"from {self.parent} import")
            case ast.Import(names=names):
                for alias in names:
                    if self._is_inside(alias.name):
                        if not alias.asname:  # it would bind the other package's name
                            raise NameUnclear(f"line {node.lineno}: import {alias.name} by `from`, or alone")
                        at = lines.start_of(alias)
                        yield Edit(at, at, f"{self.parent}.")
            case ast.Call(func=ast.Attribute(attr="getLogger"), args=[ast.Constant(value=str(name)) as logger]):
                if self._is_inside(name):
                    at = lines.start_of(logger)
                    yield Edit(at, at + 1, f"{lines.text[at]}{self.parent}.")

    def _is_inside(self, dotted: str) -> bool:
        """Return whether a dotted name is that of a package, or begins with it."""
        return dotted.partition(".")[0] in self.packages

    def _dotted(self, name: str) -> str:
        """Return a dotted name, inside of the other package if it is a module's or of something that a module binds."""
        module, bound = name, ""
        while module not in self.bound_names:
            module, _, bound = module.rpartition(".")
        return f"{self.parent}.{name}" if not bound or bound in self.bound_names[module] else name


def names_bound_by(body: Iterable[ast.stmt]) -> Iterator[str]:
    """Yield the names that the statements of a module bind, those under its conditions too."""
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                yield from (alias.asname or alias.name for alias in aliases)
            case ast.If() | ast.Try():
                yield from names_bound_by([*node.body, *node.orelse])
            case _:
                yield from (part.id for part in ast.walk(node) if isinstance(part, ast.Name))


class Lines:
    """A text and where its lines begin."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts = [0, *(found.end() for found in re.finditer("\n", text)), len(text)]

    def start_of(self, node: ast.expr | ast.stmt | ast.alias) -> int:
        """Return where the code of a node begins; `ast` counts columns in UTF-8."""
        line = self.text[self.starts[node.lineno - 1] : self.starts[node.lineno]]
        return self.starts[node.lineno - 1] + len(line.encode()[: node.col_offset].decode())


def strings_and_comments(lines: Lines) -> Iterator[tuple[int, int]]:
    """Yield where each string and each comment begins and ends; an f-string as a whole, as Python 3.11 has it."""
    depth, begin = 0, 0
    for token in tokenize.generate_tokens(io.StringIO(lines.text).readline):
        start, end = (lines.starts[line - 1] + column for line, column in (token.start, token.end))
        kind = tokenize.tok_name[token.type]
        if kind == "FSTRING_START":
            begin = begin if depth else start
            depth += 1
        elif kind == "FSTRING_END":
            depth -= 1
            if not depth:
                yield begin, end
        elif not depth and kind in ("STRING", "COMMENT"):
            yield start, end


class CodeAlone(ast.NodeTransformer):
    """Takes the text of strings and the names of imports out of a syntax tree."""

    def visit_Import(self, _: ast.Import) -> ast.stmt:
        return ast.Pass()

    def visit_ImportFrom(self, _: ast.ImportFrom) -> ast.stmt:
        return ast.Pass()

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return ast.Constant("") if isinstance(node.value, str) else node


def code_of(tree: ast.Module) -> str:
    """Return a syntax tree as text, without the text of strings and the names of imports."""
    return ast.dump(CodeAlone().visit(tree))
