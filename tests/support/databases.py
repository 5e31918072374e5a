"""One engine of any driver, one way to run a scenario on it, and what the metrics say of it."""

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

ASYNC = frozenset({"sqlite+aiosqlite", "postgresql+psycopg_async", "postgresql+asyncpg"})
SQLITE = ("sqlite+pysqlite", "sqlite+aiosqlite")
POSTGRESQL = ("postgresql+psycopg", "postgresql+psycopg_async", "postgresql+asyncpg")


class Bench:
    """An engine, and whatever runs scenarios on it: they are written once, as if every driver were a plain one."""

    def __init__(self, engine: sa.Engine, *, asynchronous: bool) -> None:
        self.engine = engine
        self.asynchronous = asynchronous

    async def run(self, scenario: Callable[..., T], *args: Any) -> T:
        """Run a scenario; on an asynchronous driver inside one of SQLAlchemy's greenlets."""
        if self.asynchronous:
            return await greenlet_spawn(scenario, self.engine, *args)
        return scenario(self.engine, *args)


@asynccontextmanager
async def bench(url: sa.URL, driver: str, **options: Any) -> AsyncIterator[Bench]:
    """Make an engine of a driver for an address."""
    address = url.set(drivername=driver)
    if driver not in ASYNC:
        engine = sa.create_engine(address, **options)
        yield Bench(engine, asynchronous=False)
        engine.dispose()
        return
    if driver == "postgresql+asyncpg":  # it takes the socket's directory another way
        address = address.difference_update_query(["host"])
        options["connect_args"] = {"host": str(url.query["host"])}
    outer = create_async_engine(address, **options)
    yield Bench(outer.sync_engine, asynchronous=True)
    await outer.dispose()


def said(registry: CollectorRegistry, *families: str) -> dict[str, float]:
    """Give what families count, as ``name values``, without what is at zero."""
    found: dict[str, float] = {}
    for family in registry.collect():
        for sample in family.samples:
            name = sample.name.removeprefix("sparklio_db_").removesuffix("_total")
            short = name.removesuffix("_seconds_count").removesuffix("_count")
            if short in families and sample.value and sample.name.endswith(("_total", "_count")):
                found[" ".join([short, *sample.labels.values()])] = sample.value
    return found
