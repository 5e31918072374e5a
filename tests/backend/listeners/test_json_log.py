"""The event log has a line for each event, with what it happened in and nothing that somebody wrote."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from app.listeners.json_log import JsonLog, listen
from events import (
    ListenerDelivered,
    access_refused,
    agent_run,
    component_checked,
    listener_delivered,
    llm_called,
    review_decided,
    tool_called,
    workflow_finished,
    workflow_run,
)
from events.bus.records import event_of
from tests.support.wait import until, wait_until

CANARY = "sk-canary-4711 write about our secret product"


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count what becomes of the events."""
    counts: Counter[str] = Counter()

    def count(event: ListenerDelivered) -> None:
        assert event.listener == "json_log"
        counts[event.outcome] += event.count

    with listener_delivered.connected_to(count):
        yield counts


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


async def test_a_line_has_the_record_and_what_the_event_happened_in(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    with counted() as counts:
        async with listen(str(file)):
            with workflow_run(run_id="r1", workflow_type="campaign"), agent_run(agent_name="writer", task=CANARY):
                llm_called.emit(model="m", status="success", duration=0.5, prompt_tokens=12)
    called = next(line for line in lines_of(file) if line["signal"] == "llm_called")
    started = next(line for line in lines_of(file) if line["signal"] == "agent_started")
    assert called == {
        "timestamp": called["timestamp"],
        "level": "info",
        "signal": "llm_called",
        "pid": os.getpid(),
        "run_id": "r1",
        "workflow_type": "campaign",
        "agent_name": "writer",
        "execution_id": started["fields"]["execution_id"],
        "schema": 1,
        "time": called["time"],
        "fields": {
            "model": "m",
            "status": "success",
            "duration": 0.5,
            "prompt_tokens": 12,
            "agent_name": "writer",
            "workflow_type": "campaign",
            "run_id": "r1",
        },
    }
    assert abs(datetime.fromisoformat(called["timestamp"]).timestamp() - called["time"]) < 0.002
    assert [line["signal"] for line in lines_of(file)] == [
        "workflow_started",
        "agent_started",
        "llm_called",
        "agent_finished",
        "workflow_finished",
    ]
    assert "canary" not in file.read_text()
    assert counts == {"delivered": 5}
    assert [event_of(line)[0].name for line in lines_of(file)] == [line["signal"] for line in lines_of(file)]


async def test_without_a_scope_there_is_no_context(tmp_path: Path) -> None:
    async with listen(str(tmp_path / "log")):
        component_checked.emit(component="model", up=True)
    [line] = lines_of(tmp_path / "log")
    assert [*line] == ["timestamp", "level", "signal", "pid", "schema", "time", "fields"]


async def test_trouble_has_a_level_of_its_own(tmp_path: Path) -> None:
    async with listen(str(tmp_path / "log")):
        tool_called.emit(tool_name="search", status="success", duration=1)
        tool_called.emit(tool_name="search", status="timeout", duration=1)
        component_checked.emit(component="model", up=True)
        component_checked.emit(component="model", up=False, reason=CANARY)
        review_decided.emit(agent_name="reviewer", verdict="rejected")
        access_refused.emit(reason="key")
        workflow_finished.emit(run_id="r1", workflow_type="campaign", status="abandoned", duration=1)
    levels = [line["level"] for line in lines_of(tmp_path / "log")]
    assert levels == ["info", "warning", "info", "warning", "warning", "warning", "warning"]


async def test_a_file_that_is_moved_loses_no_line(tmp_path: Path) -> None:
    file, moved = tmp_path / "log", tmp_path / "log.1"
    with counted() as counts:
        async with listen(str(file)):
            tool_called.emit(tool_name="first", status="success", duration=1)
            await until(lambda: counts["delivered"] == 1)
            file.rename(moved)
            tool_called.emit(tool_name="second", status="success", duration=1)
    assert [line["fields"]["tool_name"] for line in lines_of(moved) + lines_of(file)] == ["first", "second"]


async def test_a_device_that_is_full_is_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with counted() as counts:
        async with listen("/dev/full"):
            for _ in range(3):
                tool_called.emit(tool_name="search", status="success", duration=1)
                await asyncio.sleep(0.1)
    assert counts == {"failed": 3}
    assert [record.getMessage() for record in caplog.records] == [
        "the event log cannot be written to /dev/full: No space left on device"
    ]


async def test_standard_error_takes_lines_too(capfd: pytest.CaptureFixture[str]) -> None:
    async with listen("-"):
        tool_called.emit(tool_name="search", status="success", duration=1)
    assert json.loads(capfd.readouterr().err)["signal"] == "tool_called"


def test_a_writer_that_hangs_holds_up_nobody_and_what_it_leaves_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A named pipe that nobody empties: it takes 64 KiB, and then a write waits for ever."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with counted() as counts:
        log = JsonLog(pipe, size=1000)
        with tool_called.connected_to(log):
            for _ in range(5000):
                tool_called.emit(tool_name="search", status="success", duration=1)
        log.close(within=0.3)
        assert counts.total() == 5000
        assert counts["dropped"] > 3000
        wait_until(lambda: not read_all(reader) and not any("json_log" in thread.name for thread in threads()))
        os.close(reader)
    assert "listener json_log is full" in caplog.text


def threads() -> list[Thread]:
    from threading import enumerate as enumerate_threads

    return enumerate_threads()


def read_all(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 20)
    except BlockingIOError:
        return b""


@pytest.mark.slow
def test_ten_thousand_events_of_many_threads_are_all_there(tmp_path: Path) -> None:
    with counted() as counts:
        log = JsonLog(tmp_path / "log")
        start = Event()

        def emit(number: int) -> None:
            start.wait()
            for count in range(1000):
                tool_called.emit(tool_name=f"t{number}", status="success", duration=count)

        with tool_called.connected_to(log):
            workers = [Thread(target=emit, args=(number,)) for number in range(10)]
            for worker in workers:
                worker.start()
            start.set()
            for worker in workers:
                worker.join()
        log.close(within=60)
    assert counts == {"delivered": 10_000}
    lines = lines_of(tmp_path / "log")
    for number in range(10):
        mine = [line["fields"]["duration"] for line in lines if line["fields"]["tool_name"] == f"t{number}"]
        assert mine == [*range(1000)]
