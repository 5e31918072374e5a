"""Recorded events lead to the recorded exposition, letter by letter.

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
from metrics import CATALOGUE, subscribe

GOLDEN = Path(__file__).parent / "golden"
RECORDINGS = sorted(path.stem for path in GOLDEN.glob("*.jsonl"))


def emit(signal: Signal[..., Any], fields: dict[str, Any]) -> None:
    signal.emit(**fields)


def emit_bound(signal: Signal[..., Any], fields: dict[str, Any]) -> None:
    """Bind all fields but the numbers, and pass those."""
    numbers = {name: value for name, value in fields.items() if type(value) in (int, float)}
    known = {name: value for name, value in fields.items() if name not in numbers}
    signal.bind(*numbers, **known)(tuple(numbers.values()))


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


@pytest.mark.parametrize("emit_event", [emit, pytest.param(emit_bound, marks=pytest.mark.slow)])
@pytest.mark.parametrize("recording", RECORDINGS)
def test_recorded_events_lead_to_the_recorded_exposition(
    recording: str, emit_event: Callable[[Signal[..., Any], dict[str, Any]], None]
) -> None:
    recorded = (GOLDEN / f"{recording}.prom").read_text()
    assert replay(recording, emit_event) == recorded, (
        "after an intended change, run `.venv/bin/python -m tests.metrics.test_golden` and read the difference"
    )


if __name__ == "__main__":
    for name in RECORDINGS:
        (GOLDEN / f"{name}.prom").write_text(replay(name))
