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
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

STRING_OR_COMMENT = re.compile(
    r"""
      \#[^\n]*
    | (?:(?<!\w)[A-Za-z]{1,2})?  # what an f-string or one of bytes begins with
      (?: \"{3}(?:[^\\]|\\.)*?\"{3} | '{3}(?:[^\\]|\\.)*?'{3} | "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*' )
    """,
    re.DOTALL | re.VERBOSE,
)
"""Each string and comment of a source; an f-string as a whole, as Python 3.11 has it.

`tokenize` would take longer for the package than everything else does. The syntax tree is compared in the end.
"""
IMPORTS = (ast.Import, ast.ImportFrom)


class NameUnclear(ValueError):
    """A file names a package in a way that cannot be renamed."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A piece of a text, from one offset to another, and what takes its place."""

    start: int
    end: int
    replacement: str


@dataclass(frozen=True)
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

    @cached_property
    def packages(self) -> list[str]:
        """The names of the packages."""
        return [name for name in self.bound_names if "." not in name]

    def source(self, text: str) -> str:
        """Return the source of a module with the names as they are inside of the other package.

        Raises:
            NameUnclear: an import binds the name of a package in a way that cannot be kept, or a replacement in an
                f-string changes what it does.
        """
        if not self._any_name.search(text):
            return text
        tree = ast.parse(text)
        lines = Lines(text)
        nodes = ast.walk(tree) if "getLogger" in text else statements_of(tree.body)
        edits = {edit.start: edit for node in nodes for edit in self._edits_of(node, lines)}
        for found in STRING_OR_COMMENT.finditer(text):
            if self._any_name.search(found[0]):
                edits.setdefault(found.start(), Edit(found.start(), found.end(), self.prose(found[0])))
        pieces, last = [], 0
        for edit in sorted(edits.values(), key=lambda edit: edit.start):
            pieces += [text[last : edit.start], edit.replacement]
            last = edit.end
        renamed = "".join([*pieces, text[last:]])
        if renamed != text and not is_same_code(ast.parse(renamed), tree):
            raise NameUnclear("an f-string names something that looks like a package's: name it otherwise")
        return renamed

    def prose(self, text: str) -> str:
        """Return a docstring, a message, a comment or a document with the names inside of the other package."""
        if not self._any_name.search(text):
            return text
        name = f"(?P<name>{'|'.join(self.packages)})"
        inside = rf"{self.parent}.\g<name>"
        text = re.sub(rf"(?<![\w./-]){name}(?:\.\w+)+", lambda found: self._dotted(found[0]), text)
        text = re.sub(rf"(?m)^((?:.*>>> )?)import {name}$", rf"\1from {self.parent} import \g<name>", text)
        text = re.sub(rf"(?<=\bfrom ){name}(?= import\b)", inside, text)
        text = re.sub(rf"(?<=-m ){name}\b(?!\.\w)", inside, text)
        text = re.sub(rf"(?<![\w./-]){name}(?=:[A-Z])", inside, text)
        return re.sub(rf"(?<!`)`{name}`(?!`)", f"`{inside}`", text)

    @cached_property
    def _any_name(self) -> re.Pattern[str]:
        """A pattern that finds the name of a package: most texts have none."""
        return re.compile("|".join(self.packages))

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


def statements_of(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements and those inside of them, without looking into their expressions."""
    for node in body:
        yield node
        for name in ("body", "orelse", "handlers", "finalbody", "cases"):
            yield from statements_of(getattr(node, name, ()))


def is_same_code(one: object, other: object) -> bool:
    """Return whether syntax trees, or parts of them, differ in the text of strings and the names of imports alone."""
    if isinstance(one, IMPORTS) and isinstance(other, IMPORTS):
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, ast.Constant) and isinstance(other, ast.Constant):
        return is_same_value(one.value, other.value)
    if isinstance(one, ast.AST):
        return all(is_same_code(getattr(one, name, None), getattr(other, name, None)) for name in one._fields)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same_code, one, other))
    return one == other


def is_same_value(one: object, other: object) -> bool:
    """Return whether constants are two strings, or the same; 0.0 and -0.0, which are equal, are not."""
    return type(one) is type(other) and (isinstance(one, str) or repr(one) == repr(other))
