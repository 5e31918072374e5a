"""Notices among processes are taken as they come, and whoever waits for them rests meanwhile."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import pytest
import sqlalchemy as sa

from app.workflows import dbos_pace, notices
from tests.support.wait import until

pytestmark = pytest.mark.slow


@pytest.fixture
def engine(new_postgres: Callable[[], str]) -> Iterator[sa.Engine]:
    """The engine of an empty database."""
    engine = sa.create_engine(sa.make_url(new_postgres()).set(drivername="postgresql+psycopg"))
    yield engine
    engine.dispose()


@asynccontextmanager
async def listening(engine: sa.Engine) -> AsyncIterator[list[str]]:
    """Listen while the block runs, and yield the list of the runs that others have cancelled."""
    cancelled: list[str] = []
    task = asyncio.create_task(notices.listen_forever(engine, cancelled.append))
    await until(lambda: dbos_pace.queue.is_listening)
    yield cancelled
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_all_notices_are_taken_in_their_order(engine: sa.Engine) -> None:
    runs = [f"run {number} {'x' * 200}" for number in range(500)]  # more than is read at once
    async with listening(engine) as cancelled:
        with engine.begin() as connection:  # they come at once, when it is committed
            for run in runs[:490]:
                connection.execute(sa.text("SELECT pg_notify('sparklio_runs', :run)"), {"run": run})
        for run in runs[490:]:
            await asyncio.to_thread(notices.tell_cancelled, engine, run)
        await until(lambda: len(cancelled) >= len(runs))
    assert cancelled == runs


async def test_what_the_server_sends_besides_stops_nothing(engine: sa.Engine) -> None:
    """A server tells its clients of changed parameters."""
    async with listening(engine) as cancelled:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("ALTER SYSTEM SET timezone = 'Asia/Seoul'"))
            connection.execute(sa.text("SELECT pg_reload_conf()"))
            await asyncio.sleep(3 * notices._READ_TIMEOUT)
            connection.execute(sa.text("ALTER SYSTEM RESET timezone"))
            connection.execute(sa.text("SELECT pg_reload_conf()"))
        await asyncio.to_thread(notices.tell_cancelled, engine, "one")
        await until(lambda: cancelled == ["one"])


class CountingSelector(selectors.DefaultSelector):
    """Counts how often an event loop wakes up."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.waits += 1
        return super().select(timeout)


def test_a_loop_that_waits_for_notices_rests(engine: sa.Engine) -> None:
    selector = CountingSelector()

    async def waits_of_a_second() -> int:
        async with listening(engine):
            await asyncio.sleep(0.3)
            before = selector.waits
            await asyncio.sleep(1)
            return selector.waits - before

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        assert runner.run(waits_of_a_second()) <= 3
