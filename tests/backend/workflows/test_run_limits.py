"""A studio shows how many runs it takes at once, what waits for a place, and no more of it once it stopped."""

from __future__ import annotations

from dataclasses import replace
from threading import Event

import pytest

from tests.support.in_process_studio import NewSettings, RecordedEvents, matching_reply, running_studio
from tests.support.openai_server import OpenAIServer
from tests.support.run_metrics import RunMetrics
from tests.support.samples import samples
from tests.support.wait import until

pytestmark = pytest.mark.slow


async def test_slots_queue_and_limits_are_shown(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings, run_metrics: RunMetrics
) -> None:
    def value(name: str) -> float:
        return sum(value for _, value in samples(run_metrics.registry, name))

    go_on = Event()
    model.behaviour = lambda request: replace(matching_reply(request), wait_for=go_on)
    settings = new_settings(concurrency=1, max_queued=7, run_time_limit=90, sweep_interval=0.1)
    async with running_studio(settings) as studio:
        assert (value("workflow_slots"), value("workflow_queue_limit")) == (1, 7)
        assert value("workflow_time_limit_seconds") == 90
        running = await studio.submit()
        await studio.wait_for_status(running, ["running"])
        waiting = [await studio.submit("campaign") for _ in range(2)]
        await until(lambda: run_metrics.total("workflows_queued", "campaign") == 2, within=30)
        await until(lambda: run_metrics.total("workflow_oldest_queued_seconds", "campaign") > 0, within=30)
        assert run_metrics.total("workflows_queued", "product_content") == 0
        go_on.set()
        for run_id in (running, *waiting):
            await studio.wait_for_end(run_id)
        await until(lambda: value("workflows_queued") == 0, within=30)
    assert value("workflow_slots") == 0
    assert list(samples(run_metrics.registry, "workflows_queued")) == []
