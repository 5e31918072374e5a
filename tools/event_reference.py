"""``python -m tools.event_reference``: print the reference of events that `make docs` writes into docs/events.md.

It is read from the code: the events and their fields from the dataclasses, who emits each from the source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, fields
from functools import cache
from importlib import import_module
from inspect import getdoc
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from blinker import default_namespace

import events
from events import Signal, Span
from events.bus.fields import Measure as Unit
from events.bus.fields import OpenLabel, PairingKey, field_types, inherited_fields, total_fields
from metrics.diagnostics.source_scan import emitted_signals, name_declarations, read_source, span_signals
from metrics.event_fields import find_annotation, label_text, possible_values
from tools.wheel.renaming import Renaming
from tools.wheel.staging import FOLDERS, PACKAGE

ROOT = Path(__file__).parents[1]
AnySignal = Signal[..., Any]

SUBJECTS = {
    "http": "HTTP",
    "database": "Databases",
    "llm": "Model calls",
    "agents": "Agents",
    "agent_context": "Contexts of agents",
    "tools": "Tools",
    "retrieval": "Retrieval",
    "evaluations": "Evaluations",
    "guardrails": "Guardrails",
    "workflows": "Workflows",
    "limits": "Limits and refusals",
    "process": "The process itself",
    "workers": "Worker processes",
    "exposition": "Scrapes",
    "pipeline": "The pipeline itself",
    "listeners": "Listeners",
}
"""The modules of `events` that declare signals, in the order of the page, and what each is called there."""

EMITTERS = (
    ("the ASGI bridge", "events/bridges/asgi"),
    ("the SQLAlchemy bridge", "events/bridges/sqlalchemy"),
    ("the pydantic-ai bridge", "events/bridges/pydantic_ai"),
    ("the other bridges to model libraries", "events/bridges/model_calls"),
    ("the LangChain bridge", "events/bridges/langchain"),
    ("the OpenAI Agents SDK bridge", "events/bridges/openai_agents"),
    ("the OpenTelemetry bridge", "events/bridges/opentelemetry"),
    ("the event loop bridge", "events/bridges/event_loop"),
    ("`events` itself", "events/pipeline.py"),
    ("`metrics`", "metrics"),
    ("the application's own code (here the studio's)", "backend/app"),
)
"""Whose code emits: its name, and where it is."""


def main() -> None:
    """Print the reference."""
    print("\n".join(reference()))


def reference() -> Iterator[str]:
    """Yield the lines of the reference, with the names of packages as an application installs them."""
    renaming = Renaming.of(PACKAGE, [ROOT / folder for folder in FOLDERS])
    yield from map(renaming.prose, describe_subjects())


def describe_subjects() -> Iterator[str]:
    """Yield lines by subject: each event with who emits it and a table of its fields."""
    emitters, spans = find_emitters(), find_spans()
    for module, title in SUBJECTS.items():
        yield from ("", f"### {title}", "", f"`events.{module}`")
        for signal in signals_of(module):
            yield from ("", f"#### {signal.name}", "", summary(signal.event))
            names = list(emitters.get(signal.name, ()))
            names += [f"`with {span}(...)`"] if (span := spans.get(signal.name)) else []
            yield from ("", f"Emitted by {join(names) or 'nobody here'}.", "")
            yield from ("| field | role | values or unit | default |", "|---|---|---|---|")
            yield from (field_line(signal, spec) for spec in fields(signal.event))  # type: ignore[arg-type]  # a dataclass


def signals_of(module: str) -> list[AnySignal]:
    """Return the signals of a module, in the order in which their events are declared."""
    declared = vars(import_module(f"events.{module}")).values()
    return [each for each in declared if isinstance(each, Signal) and default_namespace.get(each.name) is each]


def find_spans() -> dict[str, str]:
    """Return the name of the span that emits each signal which is the start or the end of one."""
    spans = {name: each for name, each in vars(events).items() if isinstance(each, Span)}
    return {signal.name: name for name, span in spans.items() for signal in (span.started, span.finished)}


@cache
def find_emitters() -> dict[str, list[str]]:
    """Return whose code emits each signal, by the signal's name."""
    files = {name: [read_source(path) for path in python_files(place)] for name, place in EMITTERS}
    declaring = [read_source(path) for path in python_files("events")]
    signals = name_declarations(declaring, lambda file, call: [file.declared_name(call)])
    spans = name_declarations(declaring, lambda file, call: span_signals(call, signals, file))
    found: dict[str, list[str]] = {}
    for name, of_name in files.items():
        emitted = {
            signal
            for file in of_name
            for call in file.calls
            for signal in emitted_signals(call.func, signals, spans, file)
        }
        for signal in emitted:
            found.setdefault(signal, []).append(name)
    return found


def python_files(place: str) -> Sequence[Path]:
    """Return the files of a folder, or a file, by its path in the repository."""
    path = ROOT / place
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def summary(event: Any) -> str:
    """Return an event's docstring as Markdown, each paragraph a line."""
    paragraphs = (getdoc(event) or "").split("\n\n")
    return re.sub(r"``?([^`]+)``?", r"`\1`", "\n\n".join(" ".join(each.split()) for each in paragraphs))


def field_line(signal: AnySignal, spec: Field[Any]) -> str:
    """Return the line of a field in its event's table."""
    hint = field_types(signal.event)[spec.name]
    role, values = describe_type(hint)
    return f"| `{spec.name}` | {role} | {values} | {default(signal, spec, hint)} |"


def describe_type(hint: Any) -> tuple[str, str]:
    """Return the role of a field's type, and its values, its unit, or its Python type."""
    plain = [part for part in get_args(hint) if part is not NoneType] if get_origin(hint) is UnionType else [hint]
    if (values := possible_values(hint)) is not None:
        return "closed label", ", ".join(values)
    if unit := find_annotation(hint, Unit):
        return "measure", unit.unit
    if find_annotation(hint, OpenLabel):
        return "open label", "number" if get_args(plain[0])[:1] == (int,) else "text"
    if find_annotation(hint, PairingKey):
        return "key", "text"
    name = " or ".join(getattr(part, "__name__", str(part)) for part in plain)
    return ("measure", "number") if name in {"int", "float"} else ("context", name.replace("str", "text"))


def default(signal: AnySignal, spec: Field[Any], hint: Any) -> str:
    """Return what a field is where nobody sets it."""
    sums = total_fields(signal.event)  # type: ignore[arg-type]  # a dataclass
    if spec.name in sums:
        source = sums[spec.name]
        what = f"`{source.field}` of `{source.signal}`" if source.field else f"`{source.signal}`"
        return f"the {'own ' if source.own else ''}sum of {what} inside"
    if spec.name in inherited_fields(signal.event):  # type: ignore[arg-type]  # the same
        return "that of the span around"
    if spec.default is None:
        return "unknown"
    if spec.default is MISSING:
        return "required, may be unknown" if NoneType in get_args(hint) else "required"
    return f"`{label_text(spec.default)}`" if spec.default != "" else "empty"


def join(names: Sequence[str]) -> str:
    """Return names as a list in words."""
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1] if names else ""


if __name__ == "__main__":
    main()
