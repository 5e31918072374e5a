"""What docs/versions.md promises is still there: names, signals with their fields, families with their labels.

``promised.txt`` beside this file has a line for each. New ones need none until a release; one that is gone or changed
breaks whoever uses it. A release that may do so says it in CHANGELOG.md, and writes the file anew:
``python -m tests.public_api.test_promises``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from blinker import default_namespace

import events
import metrics
import metrics.testing
import traces
from events import Signal
from events.bus.fields import field_types
from metrics import GROUPS
from metrics.diagnostics.listing import describe_families
from metrics.event_fields import possible_values
from tools.event_reference import SUBJECTS, describe_type, signals_of

PROMISED = Path(__file__).parent / "promised.txt"
BRIDGES = Path(events.__file__).parent / "bridges"
SHARED = {"model_calls", "sdk_clients"}
"""What bridges share: no part of it is public."""


def public_names() -> Iterator[str]:
    """Yield the public names of the packages and of each bridge, whose library may be missing."""
    for package in (events, metrics, metrics.testing, traces):
        yield from (f"name {package.__name__}.{name}" for name in package.__all__)
    for path in BRIDGES.glob("*/__init__.py"):
        for statement in ast.parse(path.read_text()).body:
            match statement:
                case ast.Assign(targets=[ast.Name(id="__all__")], value=value) if path.parent.name not in SHARED:
                    yield from (f"name events.bridges.{path.parent.name}.{name}" for name in ast.literal_eval(value))


def public_signals() -> Iterator[Signal[..., Any]]:
    """Yield the signals of the glossary."""
    for subject in SUBJECTS:
        yield from signals_of(subject)


def public_fields() -> Iterator[str]:
    """Yield each signal with its class, and each field with its role and unit, or the values that it may have."""
    for signal in public_signals():
        yield f"signal {signal.name} {signal.event.__name__}"
        for spec in fields(signal.event):  # type: ignore[arg-type]  # a dataclass
            hint = field_types(signal.event)[spec.name]
            role, unit = describe_type(hint)
            values = possible_values(hint)
            yield f"field {signal.name}.{spec.name} {role}" + (f", {unit}" if values is None else "")
            yield from (f"value {signal.name}.{spec.name} {value}" for value in values or ())


def public_families() -> Iterator[str]:
    """Yield each family with its type and labels, and the group that it is in."""
    for group, rows in GROUPS.items():
        for family in describe_families(rows, ""):
            yield f"family {family['name']} {family['type']} {','.join(sorted(family['labels']))}".rstrip()
            yield f"group {group.upper()} {family['name']}"


def public_surface() -> list[str]:
    """Return a line for everything that is promised."""
    return sorted({*public_names(), *public_fields(), *public_families()})


def test_nothing_that_is_promised_is_gone_or_changed() -> None:
    gone = {*PROMISED.read_text().splitlines()} - {*public_surface()}
    assert not gone, "gone or changed: " + "; ".join(sorted(gone))


def test_a_field_that_a_promised_signal_gains_has_a_default() -> None:
    """Otherwise whoever emits it has to change."""
    promised = {*PROMISED.read_text().splitlines()}
    for signal in public_signals():
        if f"signal {signal.name} {signal.event.__name__}" in promised:
            known = {line.split()[1] for line in promised if line.startswith(f"field {signal.name}.")}
            for spec in fields(signal.event):  # type: ignore[arg-type]  # a dataclass
                if f"{signal.name}.{spec.name}" not in known:
                    assert spec.default is not MISSING or spec.default_factory is not MISSING, spec.name


def test_signals_have_their_names_in_blinker_too() -> None:
    for signal in public_signals():
        assert default_namespace[signal.name] is signal


if __name__ == "__main__":
    PROMISED.write_text("".join(f"{line}\n" for line in public_surface()))
