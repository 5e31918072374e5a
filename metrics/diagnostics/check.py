"""Holds the catalogue against the code: a metric that nobody feeds does not pass."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import events
from events.bus.signal import snake_case
from events.bus.span import Span

from ..catalogue import LABEL_LIMITS, SERIES_BUDGET, UNCOUNTED_SIGNALS, every_signal
from ..rows import AnySignal, Metric
from ..subscription.subscribe import declared

TELLING = ("emit", "bind", "bind_by")
"""Methods of a signal that tell its event, or give what does."""


class SourceNotFound(LookupError):
    """A source to look through is neither a package that can be imported nor a folder."""


@dataclass
class Sources:
    """What a body of code says of signals, by name."""

    emitted: set[str] = field(default_factory=set)
    declared: set[str] = field(default_factory=set)
    bridges: set[str] = field(default_factory=set)


def most_series(catalogue: Iterable[Metric], bounds: Mapping[str, int] = LABEL_LIMITS) -> int:
    """How many series the catalogue can make, every label at its bound."""
    # Rows of one instrument and the same constant labels move the same series.
    each = {(row.name, *row.const_labels.values()): row.most_series(bounds) for row in catalogue}
    return sum(each.values())


def check(
    catalogue: Sequence[Metric],
    sources: Iterable[str] = (),
    *,
    context: Mapping[AnySignal, str] = UNCOUNTED_SIGNALS,
    budget: int = SERIES_BUDGET,
) -> list[str]:
    """Say everything that is wrong; an empty list is a pass.

    ``sources`` are packages or folders beside ``events`` and ``metrics``. They are read, not run: an emission is a call
    such as ``llm_called.emit(...)``, or one of a span such as ``agent_run(...)``. A bridge counts where a source
    imports it.

    Raises:
        SourceNotFound: a source is not there.
    """
    found = read(sources)
    emitted = found.emitted
    counted = {signal.name for row in catalogue for signal in row.signals} - {every_signal.name}
    known = {signal.name for signal in declared()} | found.declared
    explained = {signal.name for signal in context}
    return [
        *(f"signal {name} is declared and emitted nowhere" for name in sorted(known - emitted)),
        *(
            f"{row.name} listens to {signal.name}, which nothing emits"
            for row in catalogue
            for signal in row.signals
            if signal is not every_signal and signal.name not in emitted
        ),
        *(
            f"signal {name} is counted by no row; add one, or list it in UNCOUNTED_SIGNALS with the reason"
            for name in sorted(known - counted - explained)
        ),
        *(
            f"signal {name} is counted, so it does not belong in UNCOUNTED_SIGNALS"
            for name in sorted(explained & counted)
        ),
        *check_budget(catalogue, budget),
    ]


def check_budget(catalogue: Sequence[Metric], budget: int = SERIES_BUDGET) -> list[str]:
    """Hold the catalogue against its series budget: the short check, without reading any source."""
    most = most_series(catalogue)
    return [f"the catalogue can make {most:,} series, the budget is {budget:,}"] if most > budget else []


def read(sources: Iterable[str]) -> Sources:
    """Read ``events``, ``metrics``, the given sources and the bridges that they import."""
    spans = {name: span for name, span in vars(events).items() if isinstance(span, Span)}
    found = Sources()
    for source in dict.fromkeys(("events", "metrics", *sources)):
        folder = folder_of(source)
        for path in sorted(folder.rglob("*.py")):
            if "bridges" not in path.relative_to(folder).parts or source != "events":
                read_file(path, spans, found)
        if source in ("events", "metrics"):
            found.declared.clear()  # these are loaded, so their signals stand in blinker's namespace
    for bridge in sorted(found.bridges):
        spec = find_spec(f"events.bridges.{bridge}")
        if spec is not None and spec.origin is not None:
            bridging = Path(spec.origin)
            for path in sorted(bridging.parent.rglob("*.py")) if spec.submodule_search_locations else [bridging]:
                read_file(path, spans, found)
    return found


def folder_of(source: str) -> Path:
    """Find a package's folder by its name, or take a folder as it is."""
    if (path := Path(source)).is_dir() and ("/" in source or not source.isidentifier()):
        return path
    try:
        spec = find_spec(source)
    except ModuleNotFoundError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise SourceNotFound(f"{source!r} is neither a package that can be imported nor a folder")
    return Path(spec.submodule_search_locations[0])


def read_file(path: Path, spans: Mapping[str, Span[...]], found: Sources) -> None:
    """Add what one file emits, declares and imports."""
    tree = ast.parse(path.read_bytes(), str(path))
    renamed = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            for alias in node.names:
                renamed[alias.asname or alias.name] = alias.name
                found.bridges.update(bridges_in(f"{module}.{alias.name}"))
        elif isinstance(node, ast.Call):
            found.emitted.update(emissions(node.func, spans, renamed))
            if isinstance(node.func, ast.Name) and renamed.get(node.func.id) == "Signal" and node.args:
                found.declared.update(snake_case(arg.id) for arg in node.args[:1] if isinstance(arg, ast.Name))


def bridges_in(imported: str) -> Iterator[str]:
    """Name the bridge that an import brings in, if any."""
    head, _, tail = imported.lstrip(".").partition("events.bridges.")
    if not head and tail:
        yield tail.split(".")[0]


def emissions(called: ast.expr, spans: Mapping[str, Span[...]], renamed: Mapping[str, str]) -> Iterator[str]:
    """Name the signals that calling an expression emits."""
    method = None
    if isinstance(called, ast.Attribute) and called.attr in (*TELLING, "wrap"):
        method, called = called.attr, called.value
    name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
    name = renamed.get(name, name)
    if method in TELLING:
        yield name
    elif name in spans:
        yield from (spans[name].started.name, spans[name].finished.name)


def load(path: str) -> Sequence[Metric]:
    """Load a catalogue from ``module:name``.

    Raises:
        SourceNotFound: the module, or the name in it, is not there.
    """
    module, _, name = path.partition(":")
    try:
        rows = getattr(import_module(module), name or "CATALOGUE")
    except (ImportError, AttributeError) as missing:
        raise SourceNotFound(f"no catalogue at {path!r}: {missing}") from missing
    return tuple(rows)
