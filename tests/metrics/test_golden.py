"""Recorded events give the recorded text, letter by letter.

After a change that is meant: ``python -m tests.metrics.test_golden``, then read the difference.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from blinker import default_namespace
from prometheus_client import CollectorRegistry, generate_latest

from events import Signal
from metrics import CATALOGUE, subscribe

GOLDEN = Path(__file__).parent / "golden"
RECORDINGS = sorted(path.stem for path in GOLDEN.glob("*.jsonl"))


def replay(recording: str) -> str:
    """Tell the recorded events to a fresh subscription and render it, without the times at which that happens."""
    registry = CollectorRegistry()
    with subscribe(CATALOGUE, registry, known={"agent_name": ["strategist", "copywriter"]}):
        for line in (GOLDEN / f"{recording}.jsonl").read_text().splitlines():
            fields = json.loads(line)
            signal = default_namespace[fields.pop("signal")]
            assert isinstance(signal, Signal)
            signal.emit(**fields)
        lines = generate_latest(registry).decode().splitlines(keepends=True)
    return "".join(line for line in lines if "sparklio_last_event" not in line and "_created" not in line)


@pytest.mark.parametrize("recording", RECORDINGS)
def test_recorded_events_give_the_recorded_text(recording: str) -> None:
    assert replay(recording) == (GOLDEN / f"{recording}.prom").read_text()


if __name__ == "__main__":
    for name in RECORDINGS:
        (GOLDEN / f"{name}.prom").write_text(replay(name))
