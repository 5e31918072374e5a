"""Which request, agent or workflow a query is attributed to, and what each used of the database."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import events
from events.bridges.asgi import HTTPEventsMiddleware
from events.bridges.sqlalchemy import instrument
from tests.support.blog import User, create_blog


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    """Return an instrumented engine on a database of users with posts."""
    made = sa.create_engine(f"sqlite:///{tmp_path}/test.db")
    create_blog(made)
    with instrument(made):
        yield made
    made.dispose()


def test_queries_count_for_each_caller_that_they_are_nested_in(engine: sa.Engine) -> None:
    def query() -> None:
        with engine.connect() as connection:
            connection.execute(sa.select(User)).all()

    with events.database_used.captured() as used:
        with events.workflow_run.scope(run_id="r1", workflow_type="campaign"):
            query()
            with events.agent_run(agent_name="copywriter"):
                query()
            with events.agent_run(agent_name="reviewer"):
                pass
        query()
    assert [(event.scope, event.queries, event.run_id) for event in used] == [("agent", 1, "r1"), ("workflow", 2, "r1")]


async def test_queries_of_a_request_count_for_it_by_the_middleware(engine: sa.Engine) -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        with engine.connect() as connection:
            connection.execute(sa.select(User)).all()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def nothing(*_: Any) -> Any:
        return {"type": "http.request"}

    with events.database_used.captured() as used, events.connection_released.captured() as released:
        await HTTPEventsMiddleware(app)({"type": "http", "method": "GET", "path": "/", "headers": []}, nothing, nothing)
    assert [(event.scope, event.queries) for event in used] == [("http", 1)]
    assert [event.scope for event in released] == ["http"]


def test_queries_after_their_agent_has_ended_count_for_nobody(engine: sa.Engine) -> None:
    """A background task still has the context of the agent that started it, which has ended."""
    with events.database_used.captured() as used, engine.connect() as connection:
        with events.agent_run(agent_name="copywriter"):
            context = contextvars.copy_context()
        with events.connection_released.captured():
            context.run(connection.execute, sa.select(User))
    assert used == []


def test_what_a_generators_caller_queries_is_not_the_generators(engine: sa.Engine) -> None:
    """A span inside of a suspended generator is not in effect for whoever reads from it."""

    def pages() -> Iterator[int]:
        with events.agent_run(agent_name="paging"):
            yield 1
            yield 2

    with events.database_used.captured() as used, engine.connect() as connection:
        for _ in pages():
            connection.execute(sa.text("select 1"))
    assert used == []


def test_what_an_agent_repeats_is_repeated_by_it_and_not_by_its_workflow(engine: sa.Engine) -> None:
    with (
        events.query_repeated.captured() as repeated,
        events.workflow_run.scope(run_id="r", workflow_type="campaign"),
        events.agent_run(agent_name="copywriter"),
        engine.connect() as connection,
    ):
        for _ in range(7):
            connection.execute(sa.select(User)).all()
    assert {event.scope for event in repeated} == {"agent"}
