"""``python -m tools.name_reference``: print the reference of public names that `make docs` writes into docs/names.md.

Signatures and docstrings are those of the source. Signals, with the classes of their events, are in docs/events.md.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from metrics import GROUPS
from tools.event_reference import SUBJECTS, signals_of
from tools.public_names import ROOT, Definition, PublicName, module_doc, names_of, public_packages, statements
from tools.wheel.renaming import Renaming
from tools.wheel.staging import FOLDERS, PACKAGE

WIDTH = 100
SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):")
TITLES = {"Args": "Arguments"}
ITEM = re.compile(r"(\*{0,2}\w+(?:, \*{0,2}\w+)*): (.*)", re.DOTALL)


def main() -> None:
    """Print the reference."""
    print("\n".join(reference()))


def reference() -> Iterator[str]:
    """Yield the lines of the reference, with the names of packages as an application installs them."""
    renaming = Renaming.of(PACKAGE, [ROOT / folder for folder in FOLDERS])
    for package in public_packages():
        text = renaming.prose("\n".join(describe_package(package)))
        yield from re.sub(r"\n{3,}", "\n\n", text).rstrip("\n").splitlines()


def describe_package(package: str) -> Iterator[str]:
    """Yield the lines of a package: its docstring's opening, then its names."""
    yield from ("", f"## {PACKAGE}.{package}", "", *markdown(module_doc(package)))
    short = package.rpartition(".")[2] + "." if "." in package else ""
    of_events = signal_names() if package == "events" else frozenset()
    for public in names_of(package):
        if public.name not in of_events:
            yield from describe_name(short, public)


def signal_names() -> frozenset[str]:
    """Return the names of the signals and of their events' classes."""
    signals = [signal for subject in SUBJECTS for signal in signals_of(subject)]
    return frozenset(name for signal in signals for name in (signal.name, signal.event.__name__))


def describe_name(prefix: str, public: PublicName) -> Iterator[str]:
    """Yield the lines of a name: its signature, its docstring, and the methods of a class."""
    yield from ("", f"### {prefix}{public.name}", "")
    signatures = [line for definition in public.definitions for line in signature(definition)]
    if signatures:
        yield from ("```py", *signatures, "```", "")
    yield from markdown(public.doc)
    if rows := GROUPS.get(public.name.lower()):
        yield f"The group of rows of {', '.join(f'`{name}`' for name in dict.fromkeys(row.name for row in rows))}."
    for definition in public.definitions:
        if isinstance(definition, ast.ClassDef):
            yield from describe_methods(definition)


def describe_methods(definition: ast.ClassDef) -> Iterator[str]:
    """Yield the lines of a class's public methods and properties; of one that is defined twice, for types, once."""
    methods: dict[str, list[ast.FunctionDef | ast.AsyncFunctionDef]] = {}
    for node in statements(definition.body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            methods.setdefault(node.name, []).append(node)
    for name, nodes in methods.items():
        if doc := next(filter(None, map(ast.get_docstring, nodes)), None):
            lines = signature(nodes[0], definition.name)
            yield from ("", f"#### {definition.name}.{name}", "", "```py", *lines, "```", "", *markdown(doc))


def signature(definition: Definition, owner: str = "") -> Iterator[str]:
    """Yield the lines of a signature: of a function, a class's constructor, or an alias of a type."""
    match definition:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            decorators = {ast.unparse(decorator) for decorator in definition.decorator_list}
            name = f"{owner}.{definition.name}" if owner else definition.name
            returned = f" -> {ast.unparse(definition.returns)}" if definition.returns else ""
            if decorators & {"property", "cached_property"}:
                yield name + returned.replace(" ->", ":")
            else:
                kind = "async " if isinstance(definition, ast.AsyncFunctionDef) else ""
                yield from bracketed(
                    kind + name, parameters(definition.args, is_method=bool(owner)), "(", ")" + returned
                )
        case ast.ClassDef():
            yield from bracketed(f"class {definition.name}", constructor(definition), "(", ")")
        case ast.Assign(value=ast.Subscript() as value) if len(text := ast.unparse(value)) < WIDTH:
            yield f"{ast.unparse(definition.targets[0])} = {text}"
        case ast.Assign(value=ast.Constant() | ast.Call(func=ast.Name(id="Span")) as value):
            yield f"{ast.unparse(definition.targets[0])} = {ast.unparse(value)}"
        case ast.Assign(value=ast.Subscript(value=ast.Name(id="Literal"))):
            values = [ast.unparse(value) for value in ast.walk(definition.value) if isinstance(value, ast.Constant)]
            yield from bracketed(f"{ast.unparse(definition.targets[0])} = Literal", values, "[", "]")


def bracketed(name: str, parts: list[str], begin: str, end: str) -> Iterator[str]:
    """Yield the lines of a name with parts in brackets, a part a line where it is long."""
    line = f"{name}{begin}{', '.join(parts)}{end}"
    yield from [line] if len(line) <= WIDTH else [name + begin, *(f"    {part}," for part in parts), end]


def constructor(definition: ast.ClassDef) -> list[str]:
    """Return the parameters that make an instance: those of `__init__`, or the fields of a dataclass."""
    for node in definition.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            return parameters(node.args, is_method=True)
    if any("dataclass" in ast.unparse(decorator) for decorator in definition.decorator_list):
        keywords = "kw_only=True" in "".join(ast.unparse(decorator) for decorator in definition.decorator_list)
        fields = [node for node in definition.body if isinstance(node, ast.AnnAssign)]
        return ["*"] * keywords + [ast.unparse(node) for node in fields if not ast.unparse(node).startswith("_")]
    return []


def parameters(arguments: ast.arguments, *, is_method: bool) -> list[str]:
    """Return the parameters of a function, without that for the instance and those that begin with an underscore."""
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    found = [parameter(arg, default) for arg, default in zip(positional, [*defaults, *arguments.defaults], strict=True)]
    if is_method and found and positional[0].arg in {"self", "cls"}:
        found = found[1:]
    if arguments.vararg:
        found.append("*" + parameter(arguments.vararg, None))
    elif arguments.kwonlyargs:
        found.append("*")
    found += [parameter(arg, default) for arg, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    if arguments.kwarg:
        found.append("**" + parameter(arguments.kwarg, None))
    return [each for each in found if not each.startswith("_")]


def parameter(arg: ast.arg, default: ast.expr | None) -> str:
    """Return a parameter with its annotation and its default."""
    text = f"{arg.arg}: {ast.unparse(arg.annotation)}" if arg.annotation else arg.arg
    return text + (f" = {ast.unparse(default)}" if default else "")


def markdown(doc: str) -> Iterator[str]:
    """Yield a docstring as lines of Markdown: code in fences, sections of arguments and errors as lists."""
    for block in re.split(r"\n\n+", doc):
        lines = block.splitlines()
        if lines and lines[0].lstrip().startswith(">>>"):
            yield from ("```pycon", *(line.strip() if line.strip() == "..." else line for line in lines), "```", "")
        elif lines and lines[0].startswith("    "):
            yield from ("```py", *(line.removeprefix("    ") for line in lines), "```", "")
        elif lines and (title := SECTION.fullmatch(lines[0])):
            yield from (f"**{TITLES.get(title[1], title[1])}**", "", *items(lines[1:]), "")
        elif lines:
            text = re.sub(r"(?<!`)``(?!`)", "`", "\n".join(lines))
            yield from (*re.sub(r"::$", ":", text).splitlines(), "")


def items(lines: list[str]) -> Iterator[str]:
    """Yield the entries of a section as a list, or its text where it has none."""
    entries: list[str] = []
    for line in lines:
        if line.startswith("     "):
            entries[-1] += " " + line.strip()
        else:
            entries.append(line.strip())
    for entry in entries:
        text = re.sub(r"(?<!`)``(?!`)", "`", entry)
        yield f"- `{item[1]}`: {item[2]}" if (item := ITEM.fullmatch(text)) else text


if __name__ == "__main__":
    main()
