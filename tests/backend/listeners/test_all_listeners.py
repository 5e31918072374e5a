"""With all listeners on, each of ten thousand events is in every one of them, and counted once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import func, select

from app.database import Database
from app.database.models import AuditEvent
from app.listeners import start_listeners
from app.listeners.live_client import Wanted
from app.settings import Settings
from events import agent_run, llm_called, tool_called
from metrics import CATALOGUE, subscribe
from tests.support.following import Following
from tests.support.samples import summed
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

ROUNDS, EACH = 100, 25
EXPECTED = Counter(agent_started=2500, agent_finished=2500, llm_called=2500, tool_called=2500)


async def test_ten_thousand_events_are_the_same_in_every_listener(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl"
    settings = settings.model_copy(update={"audit_days": 1, "event_log": str(file)})
    registry = CollectorRegistry()
    async with AsyncExitStack() as resources:
        resources.enter_context(subscribe(CATALOGUE, registry, namespace="sparklio"))
        async with AsyncExitStack() as listening:
            feed = await start_listeners(settings, database, listening)
            assert feed is not None
            following = Following(feed.join(Wanted()))
            for done in range(1, ROUNDS + 1):
                for number in range(EACH):
                    with agent_run(agent_name="writer", run_id=f"{number}"):
                        llm_called.emit(model="m", status="success", duration=0.1, prompt_tokens=3, completion_tokens=2)
                        tool_called.emit(tool_name="search", status="success", duration=0.1)
                await until(lambda done=done: len(following.records) == 4 * EACH * done)  # type: ignore[misc]
        scraped = [sample for family in registry.collect() for sample in family.samples]
    counts = [Counter({signal: int(value) for (signal,), value in summed(scraped, "events_total", "signal").items()})]
    delivered = summed(scraped, "listener_events_total", "listener", "outcome")
    async with database.session() as session:
        stored = await session.execute(select(AuditEvent.signal, func.count()).group_by(AuditEvent.signal))
        counts.append(Counter(dict(stored.all())))
    lines = await asyncio.to_thread(file.read_text)
    counts.append(Counter(json.loads(line)["signal"] for line in lines.splitlines()))
    counts.append(Counter(following.signals))
    for count in counts:
        assert {signal: count[signal] for signal in EXPECTED} == EXPECTED
    assert {
        listener: value for (listener, outcome), value in delivered.items() if outcome == "delivered"
    } == dict.fromkeys(("audit_trail", "json_log", "live_feed"), 10_000)
    assert {outcome for _, outcome in delivered} == {"delivered"}
