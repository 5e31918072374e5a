"""The memory that ever new statements, tables, engines, endpoints, models and tools leave: none, and all count.

Each stream is as long again as what ran before it, so that caches with a limit are full when the measurement begins.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from events import agent_run, http_request_finished, llm_called, tool_called
from events.bridges.sqlalchemy import instrument
from metrics import CATALOGUE, DATABASE_DETAILS, render, subscribe

from .measurement import Claim

TABLES = 500
ENGINES = 100
ENDPOINTS = 2_000
LENGTH = 500_000
"""Statements of distinct text before the measurement begins, and again until it ends."""


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Events of ever new values: what emits those with the numbers of a range, and the counter that has all of them."""

    what: str
    emit: Callable[[sa.Engine, range], object]
    counter: str
    share: int = 1
    """One event for so many statements of distinct text."""


def measure(short: bool) -> list[Claim]:
    """Measure the blocks that the interpreter has allocated, before and after each stream; the totals have to be exact.

    Raises:
        AssertionError: an event was not counted, or counted twice.
    """
    length = 5_000 if short else LENGTH
    registry = CollectorRegistry()
    subscribe(CATALOGUE + DATABASE_DETAILS, registry, namespace="bench")
    database = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    instrument(database)
    with database.connect() as connection:
        for number in range(TABLES):
            connection.exec_driver_sql(f"create table t{number} (id int)")
    return [measure_stream(registry, database, stream, length // stream.share) for stream in STREAMS]


def measure_stream(registry: CollectorRegistry, database: sa.Engine, stream: Stream, length: int) -> Claim:
    """Run a stream up to its half, then to its end; return how many blocks the second half left."""
    before = total(registry, stream.counter)
    stream.emit(database, range(length))
    render(registry)
    began = allocated_blocks()
    stream.emit(database, range(length, 2 * length))
    render(registry)
    growth = allocated_blocks() - began
    if (counted := total(registry, stream.counter) - before) != 2 * length:
        raise AssertionError(f"{stream.what}: {counted} of {2 * length} were counted")
    return Claim(
        what=f"memory of {stream.what}, after as many before",
        bar=1_000,
        better="lower",
        unit=f"blocks of {length:,}",
        ours=[max(0, growth)],
    )


def total(registry: CollectorRegistry, counter: str) -> float:
    """Return the sum of a counter's series."""
    return sum(
        sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == f"bench_{counter}_total"
    )


def allocated_blocks() -> int:
    """Return how many blocks of memory the interpreter's objects take once garbage is collected."""
    gc.collect()
    gc.collect()  # what the first one's finalizers left
    return sys.getallocatedblocks()


def distinct_text(database: sa.Engine, numbers: range) -> None:
    with database.connect() as connection:
        for number in numbers:
            connection.exec_driver_sql(f"select {number} from t{number % TABLES}")


def missing_tables(database: sa.Engine, numbers: range) -> None:
    with database.connect() as connection:
        for number in numbers:
            with suppress(sa.exc.OperationalError):
                connection.exec_driver_sql(f"select 1 from missing{number}")


def short_agents(database: sa.Engine, numbers: range) -> None:
    with database.connect() as connection:
        for number in numbers:
            with agent_run(agent_name=f"agent {number}", task="query"):
                connection.exec_driver_sql(f"select {number} from t{number % TABLES}")


def one_agent(database: sa.Engine, numbers: range) -> None:
    with agent_run(agent_name="one", task="query"), database.connect() as connection:
        for number in numbers:
            connection.exec_driver_sql(f"select c{number} from (select 1 as c{number})")


def engines(_: sa.Engine, numbers: range) -> None:
    for number in numbers:
        engine = sa.create_engine("sqlite://")
        instrument(engine, f"engine {number % ENGINES}")
        with engine.connect() as connection:
            connection.exec_driver_sql("select 1")


def requests(_: sa.Engine, numbers: range) -> None:
    for number in numbers:
        http_request_finished.emit(
            method="GET", endpoint=f"/{number % ENDPOINTS}", status_code=200, outcome="ok", duration=0.1
        )


def models(_: sa.Engine, numbers: range) -> None:
    for number in numbers:
        llm_called.emit(model=f"model {number}", status="success", duration=0.1)


def tools(_: sa.Engine, numbers: range) -> None:
    for number in numbers:
        tool_called.emit(tool_name=f"tool {number}", status="success", duration=0.1)


# fmt: off
STREAMS = (
    Stream(what=f"statements of distinct text on {TABLES} tables", emit=distinct_text, counter="db_queries"),
    Stream(what="statements that fail, each on another table", emit=missing_tables, counter="db_query_errors", share=4),
    Stream(what="statements of agents, each of another", emit=short_agents, counter="agent_executions", share=4),
    Stream(what="statements of distinct text in one agent", emit=one_agent, counter="db_queries", share=4),
    Stream(what=f"engines of {ENGINES} names", emit=engines, counter="db_queries", share=100),
    Stream(what=f"requests of {ENDPOINTS:,} endpoints", emit=requests, counter="http_requests"),
    Stream(what="calls of models, each another", emit=models, counter="llm_requests", share=2),
    Stream(what="uses of tools, each another", emit=tools, counter="tool_calls", share=2),
)
# fmt: on
