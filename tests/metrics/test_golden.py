"""Recorded events lead to the recorded exposition, letter by letter; known labels to as many series as recorded.

After an intended change: ``python -m tests.metrics.test_golden``, then read the difference.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blinker import default_namespace
from prometheus_client import CollectorRegistry, generate_latest

from events import Signal
from events.bus.records import event_of, record_of
from metrics import CATALOGUE, OPTIONAL, subscribe

GOLDEN = Path(__file__).parent / "golden"
KNOWN_SERIES = GOLDEN / "known_series.json"
OF_THE_BUS = {"events", "last_event_timestamp_seconds", "label_overflows"}
"""Families with series for each signal or row there is."""
RECORDINGS = sorted(path.stem for path in GOLDEN.glob("*.jsonl"))


def emit(signal: Signal[..., Any], fields: dict[str, Any]) -> None:
    signal.emit(**fields)


def emit_bound(signal: Signal[..., Any], fields: dict[str, Any]) -> None:
    """Bind all fields but the numbers, and pass those."""
    numbers = {name: value for name, value in fields.items() if type(value) in (int, float)}
    known = {name: value for name, value in fields.items() if name not in numbers}
    signal.bind(*numbers, **known)(tuple(numbers.values()))


def emit_recorded(signal: Signal[..., Any], fields: dict[str, Any]) -> None:
    """Write the event as a record, and emit the event of that: no metric needs what a record has not."""
    _, event = event_of(json.loads(json.dumps(record_of(signal.event(**fields)))))
    signal.send(event)


def replay(recording: str, emit_event: Callable[[Signal[..., Any], dict[str, Any]], None] = emit) -> str:
    """Emit the recorded events into a new subscription and return its exposition, without times."""
    registry = CollectorRegistry()
    with subscribe(
        CATALOGUE, registry, namespace="sparklio", label_values={"agent_name": ["strategist", "copywriter"]}
    ):
        for line in (GOLDEN / f"{recording}.jsonl").read_text().splitlines():
            fields = json.loads(line)
            signal = default_namespace[fields.pop("signal")]
            assert isinstance(signal, Signal)
            emit_event(signal, fields)
        lines = generate_latest(registry).decode().splitlines(keepends=True)
    return "".join(line for line in lines if "sparklio_last_event" not in line and "_created" not in line)


@pytest.mark.parametrize("emit_event", [emit, emit_recorded, pytest.param(emit_bound, marks=pytest.mark.slow)])
@pytest.mark.parametrize("recording", RECORDINGS)
def test_recorded_events_lead_to_the_recorded_exposition(
    recording: str, emit_event: Callable[[Signal[..., Any], dict[str, Any]], None]
) -> None:
    recorded = (GOLDEN / f"{recording}.prom").read_text()
    assert replay(recording, emit_event) == recorded, (
        "after an intended change, run `.venv/bin/python -m tests.metrics.test_golden` and read the difference"
    )


def count_known_series() -> dict[str, int]:
    """Return how many series each family has before its first event, where every open label has one known value."""
    registry = CollectorRegistry()
    rows = CATALOGUE + OPTIONAL
    with subscribe(rows, registry, namespace="sparklio") as live:
        live.initialize(**{name: ["known"] for row in rows for name, closed in row.label_sets() if closed is None})
        families = [family for family in registry.collect() if family.name.removeprefix("sparklio_") not in OF_THE_BUS]
        return {
            family.name: sum(not sample.name.endswith("_created") for sample in family.samples) for family in families
        }


def test_known_labels_lead_to_as_many_series_at_zero_as_recorded() -> None:
    assert count_known_series() == json.loads(KNOWN_SERIES.read_text()), (
        "after an intended change, run `.venv/bin/python -m tests.metrics.test_golden` and read the difference"
    )


if __name__ == "__main__":
    KNOWN_SERIES.write_text(json.dumps(count_known_series(), indent=1) + "\n")
    for name in RECORDINGS:
        (GOLDEN / f"{name}.prom").write_text(replay(name))
