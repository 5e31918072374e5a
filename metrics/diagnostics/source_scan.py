"""The source scan: which signals a body of code emits and declares, and which bridges it imports. No code is run."""

from __future__ import annotations

import ast
import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TypeGuard

import events
from events.bus.event_classes import snake_case

from .bridge_paths import bridge_paths, imported_paths

EVENTS = events.__name__
METRICS = __name__.partition(".diagnostics")[0]
"""The two packages as they are imported here: the wheel has them inside of one of its own."""

INSTRUMENTATION = Path(__file__).parents[1] / "instrumentation"
"""Where `metrics.instrument` is: it emits for those that call it alone."""

EMITTING_METHODS = ("emit", "emit_fields", "bind", "bind_by")
"""Methods of a signal that emit its event, or return an emitter of it."""

EMITTER_CACHE = "EmitterCache"
"""The class of `events.bus.emitters` whose objects, and those of classes that inherit it, emit their first argument."""


class SourceNotFound(LookupError):
    """A source is neither a package or module that can be imported nor a folder or file, or cannot be read."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """The parts of one file that say what it emits."""

    path: Path
    imported_names: dict[str, str] = field(default_factory=dict)  # by the name that the file uses
    own_names: set[str] = field(default_factory=set)  # those that come from `events`, or from the file's own package
    events_names: set[str] = field(default_factory=set)  # names of `events` itself, dotted or not
    metrics_names: set[str] = field(default_factory=set)  # the same of `metrics`
    instrument_names: set[str] = field(default_factory=set)  # those of `metrics.instrument`
    bridges: set[str] = field(default_factory=set)
    relative_imports: set[tuple[int, str]] = field(default_factory=set)  # levels, and dotted names
    emitter_caches: set[str] = field(default_factory=set)  # classes that inherit EMITTER_CACHE
    calls: list[ast.Call] = field(default_factory=list)
    assignments: list[tuple[ast.expr, ast.Call]] = field(default_factory=list)  # of what a call returns

    def imported_name(self, expression: ast.expr) -> str:
        """Return the last name of a dotted expression, as it is called where it is declared; else nothing."""
        if isinstance(expression, ast.Attribute):
            return expression.attr
        return self.imported_names.get(expression.id, expression.id) if isinstance(expression, ast.Name) else ""

    def is_call_of(self, call: ast.expr, name: str) -> TypeGuard[ast.Call]:
        """Return whether an expression is a call of a name of `events`: ``Signal(...)`` or ``events.Signal(...)``."""
        match call:
            case ast.Call(func=ast.Name(id=called)):
                return called in self.own_names and self.imported_names[called] == name
            case ast.Call(func=ast.Attribute(attr=called, value=package)) if called == name:
                return ast.unparse(package) in self.events_names
        return False

    def declared_name(self, expression: ast.expr) -> str:
        """Return the name of the signal that an expression declares, as in ``Signal(ImageRendered)``, or nothing."""
        if not self.is_call_of(expression, "Signal"):
            return ""
        event = [*expression.args[:1], *(word.value for word in expression.keywords if word.arg == "event")]
        return snake_case(self.imported_name(event[0])) if event else ""


@dataclass(frozen=True, slots=True)
class SourceScan:
    """The names of signals that code emits and declares, and of the bridges that it imports.

    ``emitted`` has the places of each signal: files and line numbers, in the order in which they were read.
    """

    emitted: dict[str, list[tuple[Path, int]]] = field(default_factory=dict)
    declared: set[str] = field(default_factory=set)
    bridges: set[str] = field(default_factory=set)
    summed: set[str] = field(default_factory=set)  # by totals, as ``total("llm_called")`` does
    scoped: set[str] = field(default_factory=set)  # of spans that are entered for their scope, which emits nothing


@contextmanager
def collection_paused() -> Iterator[None]:
    """Collect no garbage: it would search the syntax trees of hundreds of files again and again, and find none."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@collection_paused()
def scan_sources(sources: Iterable[str], *, bridges: Iterable[str] = ()) -> SourceScan:
    """Return what `events`, `metrics`, the given sources and the bridges that they import emit and declare.

    The given bridges count as imported. Signals that `events` and `metrics` declare are left out of
    `SourceScan.declared`: both are imported, so blinker's namespace has them.

    Raises:
        SourceNotFound: a source is not there.
    """
    scan = SourceScan(bridges={*bridges})
    files = []
    instruments = False
    for source in dict.fromkeys((EVENTS, METRICS, *sources)):
        for path in source_paths(source):
            files.append(file := read_source(path))
            scan.bridges.update(file.bridges)
            instrumented = {bridge for call in file.calls for bridge in instrumented_by(call, file)}
            scan.bridges.update(instrumented)
            instruments |= bool(instrumented)
            if source not in (EVENTS, METRICS):
                scan.declared.update(filter(None, map(file.declared_name, file.calls)))
                scan.summed.update(name for call in file.calls for name in summed_signals(call, file))
    if instruments:
        files += [read_source(path) for path in sorted(INSTRUMENTATION.glob("*.py"))]
    files += bridge_files(scan.bridges)
    signals = name_declarations(files, lambda file, call: [file.declared_name(call)])
    spans = name_declarations(files, lambda file, call: span_signals(call, signals, file))
    emitter_caches = {EMITTER_CACHE}.union(*(file.emitter_caches for file in files))
    for file in files:
        for call in file.calls:
            if file.imported_name(call.func) in emitter_caches and call.args:
                names: Iterable[str] = signal_names(call.args[0], signals, file)
            else:
                names = emitted_signals(call.func, signals, spans, file)
            for name in names:
                scan.emitted.setdefault(name, []).append((file.path, call.lineno))
            if isinstance(call.func, ast.Attribute) and call.func.attr == "scope":
                scan.scoped.update(spans.get(file.imported_name(call.func.value), ()))
    return scan


def instrumented_by(call: ast.Call, file: SourceFile) -> Sequence[str]:
    """Return the bridges that a call of `metrics.instrument` takes, by what it is given; none of another call."""
    match call.func:
        case ast.Name(id=called) if called in file.instrument_names:
            pass
        case ast.Attribute(attr="instrument", value=package) if ast.unparse(package) in file.metrics_names:
            pass
        case _:
            return ()
    given = {word.arg for word in call.keywords}
    return (
        "asgi",
        "event_loop",
        *(("sqlalchemy",) if given & {"engine", None} else ()),
        *(("openai", "anthropic", "pydantic_ai") if given & {"clients", None} else ()),
    )


def bridge_files(bridges: Iterable[str]) -> list[SourceFile]:
    """Return the files of bridges, and those of what they share that they import, or that these import."""
    paths = dict.fromkeys(path for bridge in sorted(bridges) for path in bridge_paths(bridge))
    files = []
    unread = list(paths)
    while unread:
        files.append(file := read_source(unread.pop(0)))
        found = [path for level, name in file.relative_imports for path in imported_paths(file.path, level, name)]
        unread += [path for path in dict.fromkeys(found) if path not in paths]
        paths.update(dict.fromkeys(found))
    return files


def name_declarations(
    files: Iterable[SourceFile], declared: Callable[[SourceFile, ast.Call], Iterable[str]]
) -> dict[str, set[str]]:
    """Return the signals that are declared in what is assigned to each name, of whichever file."""
    named: dict[str, set[str]] = {}
    for file in files:
        for target, call in file.assignments:
            name, signals = file.imported_name(target), {*declared(file, call)} - {""}
            if name and signals:
                named.setdefault(name, set()).update(signals)
    return named


def source_paths(source: str) -> list[Path]:
    """Return the Python files of a package or a module, by its name, or of a folder or a file, by its path.

    Folders whose name begins with a dot and installed packages are left out, and so are the bridges of `events` and
    what sets up an application: the source that imports one says that it is used.

    Raises:
        SourceNotFound: it is none of them.
    """
    path = Path(source)
    if path.is_file() and path.suffix == ".py":
        return [path]
    folder = path if path.is_dir() and not source.isidentifier() else None  # a package may be shadowed by its folder
    if folder is None:
        try:
            spec = None if path.suffix == ".py" or not is_dotted_name(source) else find_spec(source)
        except (ImportError, ValueError):
            spec = None
        if spec is None or not (spec.submodule_search_locations or (spec.origin or "").endswith(".py")):
            raise SourceNotFound(
                f"{source!r} is neither a package or module that can be imported from here nor a folder or a file: name"
                " a package or a module as in 'shop', a folder as in './shop' or a file as in 'shop.py'"
            )
        if not spec.submodule_search_locations:
            return [Path(spec.origin or "")]
        folder = Path(spec.submodule_search_locations[0])
    left_out = {EVENTS: {"bridges"}, METRICS: {INSTRUMENTATION.name}}.get(source, set())
    return [
        path
        for path in sorted(folder.rglob("*.py"))
        for parts in [path.relative_to(folder).parts]
        if not left_out & {*parts} and "site-packages" not in parts and not any(part.startswith(".") for part in parts)
    ]


def is_dotted_name(text: str) -> bool:
    """Return whether a text can be the name of a package or a module."""
    return all(part.isidentifier() for part in text.split("."))


def read_source(path: Path) -> SourceFile:
    """Return what one file imports, calls and assigns.

    Raises:
        SourceNotFound: it is not this Python's, or cannot be read.
    """
    try:
        return parse_source(path, path.read_bytes())
    except (OSError, SyntaxError, ValueError) as error:
        raise SourceNotFound(f"{path} cannot be read as Python: {error}") from error


@lru_cache(maxsize=1024)
def parse_source(path: Path, text: bytes) -> SourceFile:
    """Return what the text of a file imports, calls and assigns; a second scan of the same text costs nothing."""
    file = SourceFile(path)
    tree = ast.parse(text, str(path))
    for node in nodes_of(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            for alias in node.names:
                file.imported_names[alias.asname or alias.name] = alias.name
                if isinstance(node, ast.ImportFrom) and (node.level or is_of(EVENTS, module)):
                    file.own_names.add(alias.asname or alias.name)
                if (module, alias.name) == (METRICS, "instrument"):
                    file.instrument_names.add(alias.asname or alias.name)
                file.events_names.update(package_names(EVENTS, module, alias))
                file.metrics_names.update(package_names(METRICS, module, alias))
                file.bridges.update(bridge_of(f"{module}.{alias.name}"))
                if isinstance(node, ast.ImportFrom) and node.level:
                    file.relative_imports.add((node.level, f"{module}.{alias.name}".lstrip(".")))
        elif isinstance(node, ast.Call):
            file.calls.append(node)
        elif isinstance(node, ast.ClassDef) and any(file.imported_name(base) == EMITTER_CACHE for base in node.bases):
            file.emitter_caches.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)) and isinstance(node.value, ast.Call):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            file.assignments.extend((target, node.value) for target in targets)
    return file


def nodes_of(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a syntax tree that have any field, in the order of `ast.walk`, in half of its time."""
    nodes = [tree]
    for node in nodes:  # it grows meanwhile
        yield node
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                nodes += [each for each in value if isinstance(each, ast.AST) and each._fields]
            elif isinstance(value, ast.AST) and value._fields:
                nodes.append(value)


def is_of(package: str, module: str) -> bool:
    """Return whether a dotted name is that of a package, or of something in it."""
    return f"{module}.".startswith(f"{package}.")


def package_names(package: str, module: str, alias: ast.alias) -> Iterator[str]:
    """Yield the name by which a file has a package itself after an import, from another package or without one."""
    imported = f"{module}.{alias.name}".lstrip(".")
    if imported == package:
        yield alias.asname or alias.name
    elif not module and not alias.asname and is_of(package, imported):
        yield package


def span_signals(span: ast.expr, signals: Mapping[str, set[str]], file: SourceFile) -> Iterator[str]:
    """Yield the signals of the span that an expression declares, as ``Span(started, finished)`` does."""
    if file.is_call_of(span, "Span"):
        keywords = [keyword.value for keyword in span.keywords if keyword.arg in ("started", "finished")]
        for argument in (*span.args[:2], *keywords):
            yield from signal_names(argument, signals, file)


def summed_signals(call: ast.Call, file: SourceFile) -> Iterator[str]:
    """Yield the name of the signal whose events a call declares a total of."""
    if file.is_call_of(call, "total"):
        for signal in (*call.args[:1], *(word.value for word in call.keywords if word.arg == "signal")):
            if isinstance(signal, ast.Constant) and isinstance(signal.value, str):
                yield signal.value


def signal_names(expression: ast.expr, signals: Mapping[str, set[str]], file: SourceFile) -> Iterable[str]:
    """Return the names of the signals that an expression may be: one that is declared in it, or a name for one."""
    if declared := file.declared_name(expression):
        return [declared]
    name = file.imported_name(expression)
    return signals.get(name) or ([name] if name else [])


def bridge_of(imported: str) -> Iterator[str]:
    """Yield the name of the bridge that an import brings in, if it brings in any."""
    before, _, path = imported.lstrip(".").partition(f"{EVENTS}.bridges.")
    if not before and path:
        yield path.split(".")[0]


def emitted_signals(
    called: ast.expr, signals: Mapping[str, set[str]], spans: Mapping[str, set[str]], file: SourceFile
) -> Iterable[str]:
    """Return the names of the signals that a call of this expression emits."""
    method = None
    if isinstance(called, ast.Attribute) and called.attr in (*EMITTING_METHODS, "wrap"):
        method, called = called.attr, called.value
    if method in EMITTING_METHODS:
        return signal_names(called, signals, file)
    return spans.get(file.imported_name(called)) or span_signals(called, signals, file)
