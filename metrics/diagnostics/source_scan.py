"""The source scan: which signals a body of code emits and declares, and which bridges it imports. No code is run."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import events
from events.bus.signal import snake_case
from events.bus.span import Span

EMITTING_METHODS = ("emit", "bind", "bind_by")
"""Methods of a signal that emit its event, or return an emitter of it."""


class SourceNotFound(LookupError):
    """A source is neither a package that can be imported nor a folder."""


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
    spans = {name: span for name, span in vars(events).items() if isinstance(span, Span)}
    scan = SourceScan()
    for source in dict.fromkeys(("events", "metrics", *sources)):
        folder = source_folder(source)
        for path in sorted(folder.rglob("*.py")):
            if "bridges" not in path.relative_to(folder).parts or source != "events":
                scan_file(path, spans, scan)
        if source in ("events", "metrics"):
            scan.declared.clear()
    for bridge in sorted(scan.bridges):
        spec = find_spec(f"events.bridges.{bridge}")
        if spec is not None and spec.origin is not None:
            module = Path(spec.origin)
            for path in sorted(module.parent.rglob("*.py")) if spec.submodule_search_locations else [module]:
                scan_file(path, spans, scan)
    return scan


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


def scan_file(path: Path, spans: Mapping[str, Span[...]], scan: SourceScan) -> None:
    """Add what one file emits, declares and imports to the scan."""
    tree = ast.parse(path.read_bytes(), str(path))
    imported_names = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            for alias in node.names:
                imported_names[alias.asname or alias.name] = alias.name
                scan.bridges.update(bridge_of(f"{module}.{alias.name}"))
        elif isinstance(node, ast.Call):
            scan.emitted.update(emitted_signals(node.func, spans, imported_names))
            if isinstance(node.func, ast.Name) and imported_names.get(node.func.id) == "Signal" and node.args:
                scan.declared.update(snake_case(arg.id) for arg in node.args[:1] if isinstance(arg, ast.Name))


def bridge_of(imported: str) -> Iterator[str]:
    """Yield the name of the bridge that an import brings in, if it brings in any."""
    before, _, path = imported.lstrip(".").partition("events.bridges.")
    if not before and path:
        yield path.split(".")[0]


def emitted_signals(
    called: ast.expr, spans: Mapping[str, Span[...]], imported_names: Mapping[str, str]
) -> Iterator[str]:
    """Yield the names of the signals that a call of this expression emits."""
    method = None
    if isinstance(called, ast.Attribute) and called.attr in (*EMITTING_METHODS, "wrap"):
        method, called = called.attr, called.value
    name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
    name = imported_names.get(name, name)
    if method in EMITTING_METHODS:
        yield name
    elif name in spans:
        yield from (spans[name].started.name, spans[name].finished.name)
