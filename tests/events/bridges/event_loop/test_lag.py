"""An event loop that something blocks is late, and says by how much."""

from __future__ import annotations

import asyncio
import time
from unittest.mock import Mock

import pytest

from events import event_loop_probed
from events.bridges import event_loop
from tests.support.wait import until

BLOCKED = 0.3  # seconds


async def test_a_blocked_loop_is_late_by_as_long_as_it_was_blocked() -> None:
    with event_loop_probed.captured() as probes:
        instrumentation = event_loop.instrument(interval=0.01)
        await until(lambda: probes, within=30)
        await asyncio.sleep(0)
        time.sleep(BLOCKED)  # noqa: ASYNC251 - what the test is about
        await until(lambda: max(probe.lag for probe in probes) > BLOCKED - 0.05, within=30)
        instrumentation.close()
    assert min(probe.lag for probe in probes) >= 0


async def test_a_closed_one_probes_no_more() -> None:
    with event_loop_probed.captured() as probes:
        instrumentation = event_loop.instrument(interval=0.001)
        await until(lambda: len(probes) > 2, within=30)
        instrumentation.close()
        instrumentation.close()
        seen = len(probes)
        await asyncio.sleep(0.05)
        assert len(probes) == seen


def test_what_is_closed_when_its_callback_is_ready_already_emits_nothing() -> None:
    loop = Mock(time=lambda: 0.0)
    with event_loop_probed.captured() as probes:
        instrumentation = event_loop.instrument(loop=loop, interval=1.0)
        [(_, probe), _] = loop.call_at.call_args
        instrumentation.close()
        probe()
    assert probes == []


def test_it_needs_a_loop() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        event_loop.instrument()


@pytest.mark.parametrize("interval", [0, -1, float("nan")])
async def test_it_needs_an_interval(interval: float) -> None:
    with pytest.raises(ValueError, match="seconds above 0"):
        event_loop.instrument(interval=interval)
