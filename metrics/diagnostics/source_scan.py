"""The source scan: which signals a body of code emits and declares, and which bridges it imports. No code is run."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from events.bus.signal import snake_case

EMITTING_METHODS = ("emit", "bind", "bind_by")
"""Methods of a signal that emit its event, or return an emitter of it."""


class SourceNotFound(LookupError):
    """A source is neither a package that can be imported nor a folder."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """The parts of one file that say what it emits."""

    imported_names: dict[str, str] = field(default_factory=dict)  # by the name that the file uses
    bridges: set[str] = field(default_factory=set)
    calls: list[ast.Call] = field(default_factory=list)
    assignments: list[tuple[ast.expr, ast.Call]] = field(default_factory=list)  # of what a call returns

    def imported_name(self, expression: ast.expr) -> str:
        """Return the last name of a dotted expression, as it is called where it is declared; else nothing."""
        if isinstance(expression, ast.Attribute):
            return expression.attr
        return self.imported_names.get(expression.id, expression.id) if isinstance(expression, ast.Name) else ""


@dataclass(frozen=True, slots=True)
class SourceScan:
    """The names of signals that code emits and declares, and of the bridges that it imports."""

    emitted: set[str] = field(default_factory=set)
    declared: set[str] = field(default_factory=set)
    bridges: set[str] = field(default_factory=set)


def scan_sources(sources: Iterable[str]) -> SourceScan:
    """Return what ``events``, ``metrics``, the given sources and the bridges that they import emit and declare.

    Signals that ``events`` and ``metrics`` declare are left out of `SourceScan.declared`: both are imported, so
    blinker's namespace has them.

    Raises:
        SourceNotFound: a source is not there.
    """
    scan = SourceScan()
    files = []
    for source in dict.fromkeys(("events", "metrics", *sources)):
        folder = source_folder(source)
        for path in sorted(folder.rglob("*.py")):
            if "bridges" not in path.relative_to(folder).parts or source != "events":
                files.append(file := read_source(path))
                scan.bridges.update(file.bridges)
                if source not in ("events", "metrics"):
                    scan.declared.update(declared_signals(file))
    for bridge in sorted(scan.bridges):
        files += map(read_source, bridge_paths(bridge))
    spans: dict[str, set[str]] = {}  # the signals of each span, by its name
    for file in files:
        for name, signals in declared_spans(file):
            spans.setdefault(name, set()).update(signals)
    for file in files:
        for call in file.calls:
            scan.emitted.update(emitted_signals(call.func, spans, file))
    return scan


def bridge_paths(bridge: str) -> list[Path]:
    """Return the files of a bridge, which is a module or a package; none if there is no such bridge."""
    spec = find_spec(f"events.bridges.{bridge}")
    if spec is None or spec.origin is None:
        return []
    module = Path(spec.origin)
    return sorted(module.parent.rglob("*.py")) if spec.submodule_search_locations else [module]


def source_folder(source: str) -> Path:
    """Return the folder of a package, by its name, or the folder of a path.

    Raises:
        SourceNotFound: it is neither.
    """
    if (path := Path(source)).is_dir() and ("/" in source or not source.isidentifier()):
        return path
    try:
        spec = find_spec(source)
    except ModuleNotFoundError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise SourceNotFound(f"{source!r} is neither a package that can be imported nor a folder")
    return Path(spec.submodule_search_locations[0])


def read_source(path: Path) -> SourceFile:
    """Return what one file imports, calls and assigns."""
    file = SourceFile()
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            for alias in node.names:
                file.imported_names[alias.asname or alias.name] = alias.name
                file.bridges.update(bridge_of(f"{module}.{alias.name}"))
        elif isinstance(node, ast.Call):
            file.calls.append(node)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.Call):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            file.assignments.extend((target, node.value) for target in targets)
    return file


def declared_signals(file: SourceFile) -> Iterator[str]:
    """Yield the names of the signals that a file declares: ``Signal(ImageRendered)``, ``events.Signal(...)``."""
    for call in file.calls:
        match call.func:
            case ast.Name(id=name) if file.imported_names.get(name) == "Signal":
                pass
            case ast.Attribute(attr="Signal", value=ast.Name(id=name)) if file.imported_names.get(name) == "events":
                pass
            case _:
                continue
        yield from (snake_case(name) for argument in call.args[:1] if (name := file.imported_name(argument)))


def declared_spans(file: SourceFile) -> Iterator[tuple[str, set[str]]]:
    """Yield the name and the signals of each span that a file declares, as in ``export = Span(started, finished)``."""
    for target, call in file.assignments:
        if file.imported_name(call.func) == "Span":
            keywords = [keyword.value for keyword in call.keywords if keyword.arg in ("started", "finished")]
            signals = {file.imported_name(argument) for argument in (*call.args[:2], *keywords)}
            yield file.imported_name(target), signals - {""}


def bridge_of(imported: str) -> Iterator[str]:
    """Yield the name of the bridge that an import brings in, if it brings in any."""
    before, _, path = imported.lstrip(".").partition("events.bridges.")
    if not before and path:
        yield path.split(".")[0]


def emitted_signals(called: ast.expr, spans: Mapping[str, set[str]], file: SourceFile) -> Iterator[str]:
    """Yield the names of the signals that a call of this expression emits."""
    method = None
    if isinstance(called, ast.Attribute) and called.attr in (*EMITTING_METHODS, "wrap"):
        method, called = called.attr, called.value
    name = file.imported_name(called)
    if method in EMITTING_METHODS:
        yield name
    else:
        yield from spans.get(name, ())
