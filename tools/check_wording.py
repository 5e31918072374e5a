"""``python -m tools.check_wording``: hold docstrings and file names to the words of the field.

It reports docstrings that open with a word which says neither what is done nor what is returned, file names that occur
twice in a package or say nothing, and names of the studio in the packages that any backend may use. Each line of the
output is ``file:line: what is wrong; what to write instead``; the exit code is 1 where there is one.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTED = ("events", "metrics", "traces", "backend/app", "benchmarks", "tests/support", "tools")
"""Folders whose docstrings are read. A test's name is a sentence, so tests need none."""
PACKAGES = ("events", "metrics", "traces", "backend/app")
"""Packages in which a file name occurs once."""
LIBRARY = ("events", "metrics", "traces")
"""Packages that name neither the studio's settings nor its modules."""
LAYERS = frozenset({"routers", "schemas", "repositories"})
"""Folders that each have a file for every resource, by the resource's name."""
EMPTY_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"})

_RETURNS = "begin with what it returns or does: Return ..., Yield ..., Emit ..., Raise ..., Register ..."
_IS = "begin with what it is, or with what it does: The ..., A ..., Return ..., Check ..."
OPENINGS = {
    **dict.fromkeys(("give", "gives", "say", "says", "know", "knows", "lend", "lends"), _RETURNS),
    **dict.fromkeys(("tell", "tells"), "an event is emitted, a fault reported, a value returned: say which"),
    **dict.fromkeys(("hear", "hears"), "an event is received, and a receiver is called"),
    **dict.fromkeys(("keep", "keeps"), "say how: Store ..., Cache ..., Hold ..., Limit ..., Refresh ..."),
    **dict.fromkeys(("let", "lets"), "say what is done: Allow ..., Release ..., Wait ..., Return ..."),
    **dict.fromkeys(("what", "whatever", "who", "whoever"), _IS),
    **dict.fromkeys(
        ("make what", "take what", "find what", "have what"), "name the thing: Return a ..., Create the ..."
    ),
}
"""Opening words of docstrings, in lower case, and what to write in their place."""


def main() -> int:
    """Print each finding of the repository and return the exit code."""
    found = sorted(findings(ROOT))
    for finding in found:
        print(finding)
    return 1 if found else 0


def findings(root: Path) -> Iterator[str]:
    """Yield what is wrong in a repository, each with file and line."""
    for path in python_files(root, DOCUMENTED):
        for line, message in docstring_findings(path.read_text("utf-8")):
            yield f"{path.relative_to(root)}:{line}: {message}"
    for package in PACKAGES:
        yield from file_name_findings(root, [*python_files(root, [package])])
    modules = {path.stem for path in (root / "backend/app").glob("*") if path.suffix in ("", ".py")}
    for path in python_files(root, LIBRARY):
        for line, message in studio_findings(path.read_text("utf-8"), modules):
            yield f"{path.relative_to(root)}:{line}: {message}"


def python_files(root: Path, folders: Iterable[str]) -> Iterator[Path]:
    """Yield the Python files below the folders of a repository, in order."""
    for folder in folders:
        yield from sorted((root / folder).rglob("*.py"))


def docstring_findings(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line of each docstring that opens with one of `OPENINGS`, and what to write instead."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        words = (ast.get_docstring(node) or "").split(maxsplit=2)[:2]
        for opening in (" ".join(words), *words[:1]):
            if advice := OPENINGS.get(opening.lower().strip(".,:;")):
                yield node.body[0].lineno, f"docstring opens with {opening!r}; {advice}"
                break


def file_name_findings(root: Path, paths: Iterable[Path]) -> Iterator[str]:
    """Yield the files of a package that share a name, but for those of a resource's layers, or have an empty one."""
    by_name = defaultdict(list)
    for path in paths:
        if path.stem != "__init__":
            by_name[path.stem].append(path)
    for name, same in by_name.items():
        others = [path for path in same if path.parent.name not in LAYERS]
        if len(same) > 1 and others:
            places = " and ".join(str(path.relative_to(root)) for path in same)
            yield f"{others[0].relative_to(root)}:1: one file name for two things: {places}; name each after its own"
        if name in EMPTY_NAMES:
            yield f"{same[0].relative_to(root)}:1: {name!r} says nothing; name the file after what is in it"


def studio_findings(source: str, modules: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield the lines that name the studio's settings or one of its modules."""
    named = re.compile(rf"SPARKLIO_|\b(?:from|import) app\b|\bapp\.(?:{'|'.join(map(re.escape, modules))})\b")
    for number, line in enumerate(source.splitlines(), 1):
        if found := named.search(line):
            yield number, f"{found[0]!r} is the studio's; name what the library offers, or let the application pass it"


if __name__ == "__main__":
    sys.exit(main())
