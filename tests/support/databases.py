"""Runs one scenario on an engine of any driver, and reads what the metrics counted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import greenlet_spawn

T = TypeVar("T")

TABLES = sa.MetaData()
USERS = sa.Table(
    "users",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(40)),
    sa.Column("boss", sa.ForeignKey("users.id", deferrable=True, initially="DEFERRED")),
)

ASYNC = frozenset(
    {"sqlite+aiosqlite", "postgresql+psycopg_async", "postgresql+asyncpg", "mysql+aiomysql", "mysql+asyncmy"}
)
SQLITE = ("sqlite+pysqlite", "sqlite+aiosqlite")
POSTGRESQL = ("postgresql+psycopg", "postgresql+psycopg_async", "postgresql+asyncpg")


class ScenarioRunner:
    """An engine, and what runs scenarios on it: they are written once, as if every driver were a synchronous one."""

    def __init__(self, engine: sa.Engine, *, is_async: bool) -> None:
        self.engine = engine
        self.is_async = is_async

    async def run(self, scenario: Callable[..., T], *args: Any) -> T:
        """Return what a scenario returns; on an asynchronous driver it runs in one of SQLAlchemy's greenlets."""
        if self.is_async:
            return await greenlet_spawn(scenario, self.engine, *args)
        return scenario(self.engine, *args)


@asynccontextmanager
async def scenario_runner(url: sa.URL, driver: str, **options: Any) -> AsyncIterator[ScenarioRunner]:
    """Make an engine of a driver for a database's address; its pool is disposed of at the end."""
    address = url.set(drivername=driver)
    if driver == "postgresql+pg8000":  # it takes the path of the socket as an argument
        address = address.difference_update_query(["host"])
        options["connect_args"] = {"unix_sock": f"{url.query['host']}/.s.PGSQL.5432"}
    if driver not in ASYNC:
        engine = sa.create_engine(address, **options)
        yield ScenarioRunner(engine, is_async=False)
        engine.dispose()
        return
    if driver == "postgresql+asyncpg":  # it takes the directory of the socket as an argument
        address = address.difference_update_query(["host"])
        options["connect_args"] = {"host": str(url.query["host"])}
    async_engine = create_async_engine(address, **options)
    yield ScenarioRunner(async_engine.sync_engine, is_async=True)
    await async_engine.dispose()


def nonzero_counts(registry: CollectorRegistry, *families: str) -> dict[str, float]:
    """Return the counters and counts of some families as ``name label-values``, without those at zero."""
    counts: dict[str, float] = {}
    for family in registry.collect():
        for sample in family.samples:
            name = sample.name.removeprefix("sparklio_db_").removesuffix("_total")
            short = name.removesuffix("_seconds_count").removesuffix("_count")
            if short in families and sample.value and sample.name.endswith(("_total", "_count")):
                counts[" ".join([short, *sample.labels.values()])] = sample.value
    return counts
