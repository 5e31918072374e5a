"""The sums of the trail are the counters, for every way in which a family counts events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from app.commands.compared_families import COMPARISONS, Comparison
from app.database import Database
from app.database.repositories.audit_sums import Sums, Window, add_up, processes_between
from app.listeners import audit_trail
from app.listeners.audit_trail import AUDITED
from events import (
    Signal,
    agent_finished,
    listener_delivered,
    llm_called,
    llm_usage_billed,
    tool_called,
    worker_finished,
    worker_started,
    workflow_finished,
)
from metrics import CATALOGUE, subscribe
from tests.support.samples import samples
from tests.support.wait import until

# fmt: off
EVENTS: tuple[tuple[Signal[..., Any], dict[str, Any]], ...] = (
    (worker_started, {}),
    (workflow_finished, {"run_id": "1", "workflow_type": "campaign", "status": "completed", "duration": 1.0}),
    (workflow_finished, {"run_id": "2", "workflow_type": "campaign", "status": "failed", "duration": 1.0}),
    (workflow_finished, {"run_id": "3", "workflow_type": "campaign", "status": "completed", "duration": 1.0}),
    (agent_finished, {"agent_name": "writer", "status": "success", "duration": 1.0}),
    (agent_finished, {"agent_name": "writer", "status": "timeout", "duration": 1.0}),
    (tool_called, {"tool_name": "search", "status": "success", "duration": 0.1}),
    (tool_called, {"tool_name": "search", "status": "success", "duration": 0.1, "mcp_server": "web"}),
    (llm_called, {"model": "m", "status": "success", "duration": 1.0, "prompt_tokens": 10, "completion_tokens": 3,
                  "cost": 0.1, "cost_source": "provider"}),
    (llm_called, {"model": "m", "status": "success", "duration": 1.0, "prompt_tokens": 20, "completion_tokens": 0,
                  "cost": 0.2, "cost_source": "price_table"}),
    (llm_called, {"model": "m", "status": "success", "duration": 1.0, "prompt_tokens": 5, "cost": 0.7}),
    (llm_called, {"model": "m", "status": "error", "duration": 1.0}),
    (llm_called, {"model": "free", "status": "success", "duration": None, "prompt_tokens": 7, "completion_tokens": 1,
                  "cost": 0.5, "cost_source": "unpriced"}),
    (llm_called, {"model": "b", "status": "success", "duration": 1.0, "prompt_tokens": 300, "completion_tokens": 30,
                  "cost": 3.0, "itemized": True}),
    (llm_usage_billed, {"model": "a", "prompt_tokens": 100, "completion_tokens": 10, "cost": 1.0}),
    (llm_usage_billed, {"model": "b", "prompt_tokens": 200, "completion_tokens": 20, "cost": 2.0,
                        "cost_source": "price_table"}),
    (llm_usage_billed, {"model": "late", "prompt_tokens": 1, "cost": 9.0, "cost_source": "unpriced"}),
    (worker_finished, {"worker_id": "", "status": "success", "duration": 1.0}),
)
# fmt: on


def counted(registry: CollectorRegistry, comparison: Comparison) -> Sums:
    """Return what a registry has of a family, by the labels of a comparison."""
    sums: Sums = {}
    for labels, value in samples(registry, comparison.family):
        key = tuple(labels[label] for label in comparison.labels)
        sums[key] = sums.get(key, 0.0) + value
    audited = {signal.name for signal in AUDITED}
    return {key: value for key, value in sums.items() if value and (comparison.title != "events" or key[0] in audited)}


async def test_each_family_is_what_the_trail_adds_up_to(database: Database) -> None:
    registry = CollectorRegistry()
    began = datetime.now(UTC) - timedelta(seconds=1)
    with (
        subscribe(CATALOGUE, registry, namespace="sparklio"),
        listener_delivered.captured() as deliveries,
    ):
        async with audit_trail.listen(database, 1, "one"):
            for signal, fields in EVENTS:
                signal.emit(**fields)
            await until(lambda: sum(each.count for each in deliveries) == len(EVENTS))
        counts = {comparison.title: counted(registry, comparison) for comparison in COMPARISONS}
    now = datetime.now(UTC) + timedelta(seconds=1)
    async with database.session() as session:
        assert await processes_between(session, began, now, alive_at=began) == ["one"]
        assert await processes_between(session, began, now, alive_at=now) == []  # it has stopped
        assert await processes_between(session, now, now, alive_at=began) == []
        window = Window(["one"], began, now, now)
        for comparison in COMPARISONS:
            least, most = await add_up(session, comparison.amounts, window)
            assert least == most
            found = {key: value for key, value in most.items() if value}
            assert found == pytest.approx(counts[comparison.title]), comparison.title
            assert found
        before = Window(["one"], began, began, now)
        least, most = await add_up(session, COMPARISONS[0].amounts, before)
        assert (sum(least.values()), sum(most.values())) == (0, 3)
        elsewhere = Window(["other"], began, now, now)
        assert await add_up(session, COMPARISONS[0].amounts, elsewhere) == ({}, {})
