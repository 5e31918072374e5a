"""A scrubbed recording says what happened, and not whose, where and when it was."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from events.bus.recordings import RecordedEvent, header, read_recording
from tools.scrub_recording import BEGINNING, main


def test_ids_and_times_are_others_and_belong_together_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def started(time: float, run_id: str) -> str:
        fields = {"run_id": run_id, "workflow_type": "campaign", "queue_wait": 0.123456789}
        record = {"schema": 1, "signal": "workflow_started", "time": time, "fields": fields}
        return json.dumps({**record, "process": "host-7", "id": "e-1", "level": "info", "run_id": run_id})

    file = tmp_path / "life.jsonl"
    head = json.dumps({**header("http://studio.example"), "time": 1000.0})
    file.write_text("\n".join([head, started(1001.5, "a-b"), "{cut", started(1002.5, "c-d"), started(1003.5, "a-b")]))
    monkeypatch.setattr(sys, "argv", ["scrub", str(file)])
    assert main() == 0
    shown = capsys.readouterr()
    assert "a line that cannot be read is left out" in shown.err
    for secret in ("a-b", "c-d", "host-7", "studio.example", "e-1"):
        assert secret not in shown.out
    scrubbed = tmp_path / "scrubbed.jsonl"
    scrubbed.write_text(shown.out)
    with scrubbed.open("rb") as opened:
        events = [line for line in read_recording(opened) if isinstance(line, RecordedEvent)]
    assert [(line.event.run_id, line.time - BEGINNING) for line in events] == [
        ("run_id-1", 1.5),
        ("run_id-2", 2.5),
        ("run_id-1", 3.5),
    ]
