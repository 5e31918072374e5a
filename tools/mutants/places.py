"""Where the code can be mutated, and what is left out of the count.

Cosmic Ray's operators find the places and write the mutants; this module chooses among them. A place has one mutant in
the sample, so that an operator with eleven replacements for a plus does not outweigh those with one.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

OPERATORS = re.compile(
    r"""core/(
    ReplaceComparisonOperator_(Eq_NotEq|NotEq_Eq|Lt_LtE|Lt_GtE|LtE_Lt|LtE_Gt|Gt_GtE|Gt_LtE|GtE_Gt|GtE_Lt|Is_IsNot|IsNot_Is)
    |ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Mul|Mod_Mul|Pow_Mul|BitOr_BitAnd|BitAnd_BitOr
                            |BitXor_BitOr|RShift_LShift|LShift_RShift)
    |ReplaceUnaryOperator_(Delete_USub|Delete_Invert|Delete_Not)
    |AddNot|ReplaceTrueWithFalse|ReplaceFalseWithTrue|ReplaceAndWithOr|ReplaceOrWithAnd|ReplaceBreakWithContinue
    |ReplaceContinueWithBreak|ExceptionReplacer|NumberReplacer|RemoveDecorator|ZeroIterationForLoop
    )""",
    re.VERBOSE,
)
"""Cosmic Ray's operators, but for those whose mutants mean the same (``is`` to ``==``) or nothing (``<`` to ``is``)."""

DECORATORS = frozenset({"final", "override", "overload", "runtime_checkable"})
"""Decorators that change nothing at run time."""

Position = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Mutation:
    """One mutant of a place: an operator's name and which of its occurrences in the file."""

    operator: str
    occurrence: int


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file, relative to the root, with the lines of the statement around it and its possible mutants.

    ``runs_on_import`` is whether that statement is in no function: it runs once, before most tests.
    """

    path: str
    line: int
    first_line: int
    last_line: int
    mutations: tuple[Mutation, ...]
    runs_on_import: bool = False


def sample(root: Path, packages: Sequence[str], number: int, random: Random) -> list[tuple[Place, Mutation]]:
    """Return that many places drawn at random, each with one of its mutants."""
    files = [path for package in packages for path in sorted((root / package).rglob("*.py"))]
    found = [place for path in files for place in places(path.read_text(), path.relative_to(root).as_posix())]
    random.shuffle(found)
    drawn = ((place, random.choice(place.mutations)) for place in found)
    return list(islice((each for each in drawn if differs(root, *each)), number))


def differs(root: Path, place: Place, mutation: Mutation) -> bool:
    """Return whether a mutant is another program: it compiles, and not to the same, as 1e300 + 1 for 1e300 does."""
    source = (root / place.path).read_text()
    try:
        mutant = ast.parse(mutate(source, mutation))
    except SyntaxError:
        return False
    return ast.dump(mutant) != ast.dump(ast.parse(source))


def places(source: str, path: str) -> Iterator[Place]:
    """Yield the places of a file that count, from top to bottom."""
    tree = ast.parse(source)
    statements = statement_spans(tree)
    ignored, operators, bodies = ignored_spans(tree), operator_spans(tree), function_bodies(tree)
    found: dict[tuple[Position, str], list[Mutation]] = {}
    nodes = list(import_module("cosmic_ray.ast").ast_nodes(import_module("cosmic_ray.ast").get_ast(source)))
    for name in operator_names():
        operator = new_operator(name)
        spans = (span for node in nodes for span in operator.mutation_positions(node))
        for occurrence, (start, _) in enumerate(spans):
            if "BinaryOperator" in name and not within(start, operators):
                continue  # the star or slash between parameters, or the stars that unpack
            if not within(start, ignored):
                found.setdefault((start, name.split("_")[0]), []).append(Mutation(name, occurrence))
    for (start, _), mutations in sorted(found.items(), key=lambda item: item[0]):
        first, last = min(
            (span for span in statements if span[0] <= start[0] <= span[1]),
            key=lambda span: span[1] - span[0],
            default=(start[0], start[0]),
        )
        yield Place(path, start[0], first, last, tuple(mutations), runs_on_import=not within(start, bodies))


def mutate(source: str, mutation: Mutation) -> str:
    """Return the source with the mutant in it."""
    visitor: Any = import_module("cosmic_ray.mutating").MutationVisitor
    mutated: str | None = visitor.mutate_code(source, new_operator(mutation.operator), mutation.occurrence)
    if mutated is None:
        raise AssertionError(f"{mutation} is not in the source that it was found in")
    return mutated


@cache
def operator_names() -> tuple[str, ...]:
    """Return the names of the operators that are used."""
    names: list[str] = list(import_module("cosmic_ray.plugins").operator_names())
    return tuple(name for name in names if OPERATORS.fullmatch(name))


def new_operator(name: str) -> Any:
    """Return an operator by its name."""
    return import_module("cosmic_ray.plugins").get_operator(name)()


def statement_spans(tree: ast.Module) -> list[tuple[int, int]]:
    """Return the first and last line of every statement; of a compound one, those of its header.

    A decorator belongs to the header of what it decorates.
    """
    spans = []
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt | ast.excepthandler):
            body: list[ast.stmt] = getattr(node, "body", [])
            first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
            last = max(node.lineno, body[0].lineno - 1) if body else node.end_lineno or node.lineno
            spans.append((first, last))
    return spans


def function_bodies(tree: ast.Module) -> list[tuple[Position, Position]]:
    """Return the spans of the bodies of all functions; default values and decorators are evaluated outside of them."""
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return [(span(node.body[0])[0], span(node)[1]) for node in functions]


def operator_spans(tree: ast.Module) -> list[tuple[Position, Position]]:
    """Return the spans between the operands of binary operators."""
    return [(span(node.left)[1], span(node.right)[0]) for node in ast.walk(tree) if isinstance(node, ast.BinOp)]


def within(position: Position, spans: Sequence[tuple[Position, Position]]) -> bool:
    """Return whether a position is in one of the spans."""
    return any(first <= position < last for first, last in spans)


def ignored_spans(tree: ast.Module) -> list[tuple[Position, Position]]:
    """Return the spans that no test can be expected to notice.

    Annotations and type aliases, ``if TYPE_CHECKING``, ``__all__``, the texts of log lines, warnings and exceptions,
    decorators for type checkers, ``zip(strict=...)`` and ``dataclass(slots=...)``.
    """
    return [span(part) for node in ast.walk(tree) for part in ignored(node)] + decorator_spans(tree)


def decorator_spans(tree: ast.Module) -> list[tuple[Position, Position]]:
    """Return the spans of decorators that change nothing at run time, each with its at-sign, where it is removed."""
    decorators = (each for node in ast.walk(tree) for each in getattr(node, "decorator_list", ()))
    spans = [span(each) for each in decorators if ast.unparse(each).split(".")[-1] in DECORATORS]
    return [((line, column - 1), end) for (line, column), end in spans]


def ignored(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a node that do not count."""
    yield from ignored_types(node)
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            keywords = [each for call in node.decorator_list if isinstance(call, ast.Call) for each in call.keywords]
            yield from (each for each in keywords if each.arg == "slots")  # it saves memory
        case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
            yield node
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            yield node
        case ast.Call(func=ast.Attribute(value=ast.Name(id="logger" | "log" | "warnings"))):
            yield from (*node.args, *node.keywords)
        case ast.Call(func=ast.Name(id="zip")):
            yield from node.keywords  # ``strict`` says what is so already
        case ast.Raise(exc=ast.Call(args=args)):
            yield from (each for arg in args for each in ast.walk(arg) if isinstance(each, ast.JoinedStr))


def ignored_types(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a node that are types."""
    match node:
        case ast.arg(annotation=ast.expr() as annotation) | ast.AnnAssign(annotation=annotation):
            yield annotation
        case ast.FunctionDef(returns=ast.expr() as returns) | ast.AsyncFunctionDef(returns=ast.expr() as returns):
            yield returns
        case ast.Assign(value=ast.BinOp(op=ast.BitOr()) as value) if is_type(value):
            yield value
        case ast.Subscript(slice=part):
            yield from (each for each in ast.walk(part) if isinstance(each, ast.BinOp) and is_type(each))
        case ast.Call(func=ast.Name(id="cast" | "TypeVar" | "ParamSpec")):
            yield from node.args


def is_type(node: ast.expr) -> bool:
    """Return whether an expression is a union of types, such as ``str | None``."""
    match node:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return is_type(left) or is_type(right)
        case ast.Constant(value=None):
            return True
        case ast.Name(id=name) | ast.Subscript(value=ast.Name(id=name)):
            return name in {"str", "int", "float", "bool", "bytes", "dict", "list", "tuple", "set", "frozenset"}
    return False


def span(node: Any) -> tuple[Position, Position]:
    """Return where a node begins and ends."""
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
