"""What the model's process uses is read from the system, each second of processor time once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict

import pytest

from app.llm.embedded.process_usage import ProcessMeter, ProcessUsage
from app.server.model_usage import UsageLines, usage_line
from tests.support.wait import wait_until

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs Linux")  # noqa: PTH110

BURN = "while True: sum(range(1000))"


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing but compute."""
    process = subprocess.Popen([sys.executable, "-c", BURN])
    yield process
    process.kill()
    process.wait()


def test_processor_time_adds_up_to_that_of_the_process(busy: subprocess.Popen[bytes]) -> None:
    meter, spent = ProcessMeter(), 0.0

    def read() -> bool:
        nonlocal spent
        spent += meter.read(busy.pid).cpu_time
        return spent > 0.3

    wait_until(read, within=60)
    whole = ProcessMeter().read(busy.pid)
    assert whole.cpu_time >= spent
    assert whole.resident_memory is not None
    assert whole.resident_memory > 1_000_000


def test_a_process_that_is_gone_uses_nothing(busy: subprocess.Popen[bytes]) -> None:
    meter = ProcessMeter()
    wait_until(lambda: meter.read(busy.pid).cpu_time > 0, within=60)
    busy.kill()
    busy.wait()
    assert meter.read(busy.pid) == ProcessUsage(0.0, None)
    assert meter.read(None) == ProcessUsage(0.0, None)


def test_another_process_is_read_from_its_start(busy: subprocess.Popen[bytes]) -> None:
    meter = ProcessMeter()
    wait_until(lambda: ProcessMeter().read(busy.pid).cpu_time > 0.05, within=60)
    meter.read(os.getpid())
    assert meter.read(busy.pid).cpu_time > 0.05


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_lines_to_a_worker_arrive_whole_however_they_are_cut(size: int) -> None:
    told = [ProcessUsage(0.25, 1000), ProcessUsage(0.0, None), ProcessUsage(1e-3, 2**40)]
    text = b"".join(map(usage_line, told))
    assert [json.loads(line) for line in text.splitlines()] == [asdict(usage) for usage in told]
    heard: list[ProcessUsage] = []
    lines = UsageLines(heard.append)
    for start in range(0, len(text), size):
        lines.feed(text[start : start + size])
    assert heard == told
