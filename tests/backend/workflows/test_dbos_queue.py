"""Each process takes as many runs as its own setting says, and all together no more than their common one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from app.workflows import dbos_queue
from tests.support.in_process_studio import NewSettings, RecordedEvents, matching_reply, running_studio
from tests.support.openai_server import OpenAIServer
from tests.support.studio import StudioProcess
from tests.support.wait import until, wait_until

pytestmark = pytest.mark.slow

HISTORY = """\
CREATE TABLE pending_history (executor text, pending bigint);
CREATE FUNCTION note_pending() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO pending_history SELECT NEW.executor_id, count(*) FROM dbos.workflow_status WHERE status = 'PENDING';
  RETURN NULL;
END $$;
CREATE TRIGGER note_pending AFTER UPDATE OF status ON dbos.workflow_status FOR EACH ROW
  WHEN (NEW.status = 'PENDING' AND OLD.status = 'ENQUEUED') EXECUTE FUNCTION note_pending();
"""
"""How many runs are under way as each of them is claimed, its own and those of its statement included."""


@pytest.fixture
def url(new_postgres: Callable[[], str]) -> str:
    return new_postgres()


@pytest.fixture
def new_worker(
    model: OpenAIServer, tmp_path: Path, free_port: Callable[[], int], url: str
) -> Callable[..., StudioProcess]:
    """Return a function that makes a worker of one PostgreSQL, with a data directory of its own."""

    def make(**settings: object) -> StudioProcess:
        directory = tmp_path / str(port := free_port())
        directory.mkdir()
        given = {"llm": "openai:scripted", "llm_base_url": model.base_url, "database_url": url, **settings}
        return StudioProcess(directory, port, **given)

    return make


@contextmanager
def connected(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def pending_by_executor(connection: psycopg.Connection) -> list[int]:
    """Return how many runs each process has, the fewest first."""
    rows = connection.execute(
        "SELECT count(*) FROM dbos.workflow_status WHERE status = 'PENDING' GROUP BY executor_id ORDER BY 1"
    )
    return [count for [count] in rows]


def test_each_process_keeps_its_own_number_whichever_started_last(
    model: OpenAIServer, new_worker: Callable[..., StudioProcess], url: str
) -> None:
    go_on = Event()
    model.behaviour = lambda request: replace(matching_reply(request), wait_for=go_on)
    two = {"concurrency": 2}
    with new_worker(**two) as first, new_worker(concurrency=7) as second, connected(url) as connection:
        assert (first.total("workflow_slots"), second.total("workflow_slots")) == (2, 7)
        run_ids = [first.submit("brand_identity") for _ in range(20)]
        wait_until(lambda: pending_by_executor(connection) == [2, 7])
        with new_worker(**two):
            wait_until(lambda: pending_by_executor(connection) == [2, 2, 7])
            go_on.set()
            assert {first.wait_for_end(run_id)["status"] for run_id in run_ids} == {"completed"}


def test_all_processes_together_execute_no_more_than_their_total(
    model: OpenAIServer, new_worker: Callable[..., StudioProcess], url: str
) -> None:
    """Not at any moment: with a lock each, so that nobody claims by what it saw before another one did."""
    model.behaviour = lambda request: replace(matching_reply(request), delay=0.05)
    settings = {"concurrency": 3, "total_concurrency": 4}
    with ExitStack() as stack, connected(url) as connection:
        workers = [stack.enter_context(new_worker(**settings)) for _ in range(3)]
        connection.execute(HISTORY)
        run_ids = [worker.submit("brand_identity") for _ in range(12) for worker in workers]
        assert {workers[0].wait_for_end(run_id)["status"] for run_id in run_ids} == {"completed"}
        [[executors, most, claims]] = connection.execute(
            "SELECT count(DISTINCT executor), max(pending), count(*) FROM pending_history"
        ).fetchall()
        assert (executors, most, claims) == (3, 4, 36)
        assert not any("Contention" in worker.output for worker in workers)


async def test_a_run_waits_while_another_process_claims(
    recorded: RecordedEvents, new_settings: NewSettings, url: str
) -> None:
    async with running_studio(new_settings(database_url=url, total_concurrency=4)) as studio:
        attempts = []

        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if "pg_try_advisory_xact_lock" in statement and "SELECT 1" in statement:
                attempts.append(statement)

        sa.event.listen(studio.service.dbos_engine, "before_cursor_execute", note)
        with connected(url) as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (dbos_queue._CLAIM_LOCK,))
            run_id = await studio.submit()
            await until(lambda: len(attempts) >= 2)
            assert (await studio.run(run_id)).status == "queued"
        assert (await studio.wait_for_end(run_id)).status == "completed"


async def test_a_process_that_is_suspended_in_its_turn_loses_it_and_has_claimed_nothing(
    recorded: RecordedEvents, new_settings: NewSettings, url: str
) -> None:
    suspended, go_on = Event(), Event()

    def suspend(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE dbos.workflow_status SET status") and not suspended.is_set():
            suspended.set()
            go_on.wait(60)

    async with running_studio(new_settings(database_url=url, total_concurrency=4)) as studio:
        with connected(url) as connection:
            sa.event.listen(studio.service.dbos_engine, "before_cursor_execute", suspend)
            run_id = await studio.submit()
            await until(suspended.is_set)
            lock = "SELECT pg_try_advisory_lock(%s)"
            await until(lambda: connection.execute(lock, (dbos_queue._CLAIM_LOCK,)).fetchone() == (True,))
            go_on.set()
            for _ in range(10):
                await asyncio.sleep(0.1)
                assert pending_by_executor(connection) == []
        assert (await studio.wait_for_end(run_id)).status == "completed"


async def test_a_total_below_the_own_number_is_the_own_number(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings, url: str
) -> None:
    """On SQLite too, where there is one process."""
    go_on = Event()
    model.behaviour = lambda request: replace(matching_reply(request), wait_for=go_on)
    for database_url in (None, url):
        settings = new_settings(database_url=database_url, concurrency=5, total_concurrency=1)
        assert settings.slots == 1
        async with running_studio(settings) as studio:
            first, second = [await studio.submit() for _ in range(2)]
            await studio.wait_for_status(first, ["running"])
            await studio.service.cancel(first)
            go_on.set()
            assert (await studio.wait_for_end(second)).status == "completed"
            go_on.clear()


async def test_no_row_has_the_limits(recorded: RecordedEvents, new_settings: NewSettings, url: str) -> None:
    """A DBOS without queues in memory says so here; for it there is the public way, with its row for all processes."""
    async with running_studio(new_settings(database_url=url)) as studio:
        assert (await studio.wait_for_end(await studio.submit())).status == "completed"
        with connected(url) as connection:
            assert connection.execute("SELECT FROM dbos.queues").fetchall() == []


async def test_without_queues_in_memory_a_row_has_the_limits(
    recorded: RecordedEvents, new_settings: NewSettings, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dbos_queue, "_has_own_queues", lambda _: False)
    settings = new_settings(database_url=url, concurrency=3, total_concurrency=4)
    async with running_studio(settings) as studio:
        assert (await studio.wait_for_end(await studio.submit())).status == "completed"
        with connected(url) as connection:
            limits = connection.execute("SELECT name, worker_concurrency, concurrency FROM dbos.queues").fetchall()
    assert limits == [(dbos_queue.QUEUE, 3, 4)]
