"""The event log, the webhook and a recording of a studio say what its metrics say, event by event."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.listeners.signals import STORY
from events.bus.recordings import RecordedEvent, read_recording
from metrics.__main__ import main
from tests.support.postgresql import create_database, running_postgresql
from tests.support.recorded_life import recording
from tests.support.samples import summed
from tests.support.studio import ENDED, StudioProcess
from tests.support.troubled_life import SETTINGS, Script, serve_models
from tests.support.wait import wait_until
from tests.support.webhook_server import Answer, WebhookServer, verify

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SECRET = "whsec_" + b64encode(b"a secret of 32 bytes, like this.").decode()
WORK = ("workflow_", "agent_", "llm_call", "llm_attempted", "tool_", "context_", "review_")
"""What happens in runs alone, and so no more once they have ended."""
COUNTERS = (
    ("workflows_total", "workflow_type", "status"),
    ("workflow_tokens_total", "workflow_type", "outcome"),
    ("agent_executions_total", "agent_name", "status"),
    ("agent_tokens_total", "agent_name", "token_type"),
    ("llm_requests_total", "model", "status"),
    ("llm_tokens_total", "model", "token_type"),
    ("llm_attempts_total", "model", "outcome"),
    ("llm_cost_usd_total", "model"),
    ("tool_calls_total", "tool_name", "status"),
    ("context_size_bytes_sum", "agent_name"),
    ("llm_request_duration_seconds_sum", "model"),
)


SIGNALS = {signal.name for signal in STORY if signal.name.startswith(WORK)}


def whole_lines(file: Path) -> list[dict[str, Any]]:
    """Return the lines of a file that are whole so far."""
    return [json.loads(line) for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]


def counts_of(file: Path) -> Counter[str]:
    """Return how many events of each signal a file has so far."""
    return Counter(line["signal"] for line in whole_lines(file) if line.get("signal") in SIGNALS)


def values_of(file: Path, name: str) -> set[Any]:
    """Return the values that a name has in a file so far."""
    return {line[name] for line in whole_lines(file) if name in line}


def test_all_of_them_agree(
    tmp_path: Path,
    free_port: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    script, log, record = Script(), tmp_path / "events.jsonl", tmp_path / "life.jsonl"
    script.gate.set()
    with serve_models(script) as models, WebhookServer(Answer(500), Answer()) as webhook:
        outlets = {"event_log": log, "webhook_url": webhook.url, "webhook_secret": SECRET}
        settings = {**SETTINGS, **outlets, "llm_base_url": models.base_url}
        with StudioProcess(tmp_path, free_port(), **settings) as studio, recording(studio.url, record) as recorder:
            runs = [studio.submit(name) for name in ("product_content", "campaign", "brand_identity") * 3]
            for run_id in runs:
                wait_until(lambda run_id=run_id: studio.run(run_id)["status"] in ENDED, every=0.5)  # type: ignore[misc]
            wait_until(lambda: studio.total("listener_events_total", listener="webhook", outcome="delivered") == 9)
            samples = studio.scrape()
            shown = {name: int(value) for (name,), value in summed(samples, "events_total", "signal").items()}
            expected = Counter({name: number for name, number in shown.items() if name in SIGNALS})
            for file in (log, record):
                wait_until(lambda file=file: counts_of(file) == expected, every=0.5)  # type: ignore[misc]
            recorder.send_signal(signal.SIGINT)
            assert recorder.wait(60) == 0
        assert studio.process.returncode == 0
    assert all(verify(SECRET, delivery) for delivery in webhook.deliveries)
    assert {json.loads(delivery.body)["subject"] for delivery in webhook.deliveries} == {*runs}
    with record.open("rb") as opened:
        assert all(isinstance(line, RecordedEvent) for line in read_recording(opened))
    for file_name in (record, log):
        assert main(["replay", str(file_name), "--format", "json"]) == 0
        replayed = [
            sample for family in json.loads(capsys.readouterr().out) for sample in family["samples"] if sample["value"]
        ]
        for name, *labels in COUNTERS:
            again: Counter[tuple[str, ...]] = Counter()
            for sample in replayed:
                if sample["name"] == f"sparklio_{name}":
                    again[tuple(sample["labels"][label] for label in labels)] += sample["value"]
            assert {**again} == pytest.approx(summed(samples, name, *labels)), (file_name, name)
            assert again, name


def test_outlets_that_hang_hold_up_no_run_and_no_stop(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is a pipe that is full and that nobody reads, and the webhook answers nothing."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    script, pipe = Script(), tmp_path / "pipe"
    script.gate.set()
    os.mkfifo(pipe)
    full = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(full, b"x" * 4096)
    with serve_models(script) as models, WebhookServer(Answer(hangs=True)) as webhook:
        outlets = {"event_log": pipe, "webhook_url": webhook.url, "webhook_secret": SECRET}
        settings = {**SETTINGS, **outlets, "webhook_signals": "workflow_started,workflow_finished"}
        with StudioProcess(tmp_path, free_port(), **settings, llm_base_url=models.base_url) as studio:
            assert studio.wait_for_end(studio.submit("product_content"))["status"] == "completed"
            wait_until(lambda: webhook.deliveries)
            assert studio.total("receiver_failures_total") == 0
            assert studio.stop() == 0
        assert "listener json_log stopped: " in studio.output
        assert "listener webhook stopped: 1 events dropped" in studio.output
    os.close(full)


def test_of_several_workers_they_have_the_events_of_all(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    script, log, record = Script(), tmp_path / "events.jsonl", tmp_path / "life.jsonl"
    script.gate.set()
    with running_postgresql() as database, serve_models(script) as models, WebhookServer() as webhook:
        outlets = {"event_log": log, "webhook_url": webhook.url, "webhook_secret": SECRET}
        several = {"workers": 2, "database_url": create_database(database), "health_interval": 0.5}
        settings = {**SETTINGS, **outlets, **several, "llm_base_url": models.base_url}
        with StudioProcess(tmp_path, free_port(), **settings) as studio, recording(studio.url, record):
            wait_until(lambda: len(values_of(record, "process")) == 2, every=0.5)
            runs = [studio.submit("product_content") for _ in range(8)]
            for run_id in runs:
                wait_until(lambda run_id=run_id: studio.run(run_id)["status"] in ENDED, every=0.5)  # type: ignore[misc]
            wait_until(lambda: studio.total("listener_events_total", listener="webhook", outcome="delivered") == 8)
            shown = summed(studio.scrape(), "events_total", "signal").items()
            expected = Counter({name: int(value) for (name,), value in shown if name in SIGNALS})
            for file in (log, record):
                wait_until(lambda file=file: counts_of(file) == expected, every=0.5)  # type: ignore[misc]
            assert len(values_of(log, "pid")) == 2
    assert {json.loads(delivery.body)["subject"] for delivery in webhook.deliveries} == {*runs}
