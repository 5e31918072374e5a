"""Runs scenarios on an engine instrumented in one way; in a process of its own, since OpenTelemetry wraps a whole one.

``python -m benchmarks.database_worker VARIANT URL`` reads lines ``SCENARIO TIMES`` and answers each with microseconds.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from time import perf_counter, process_time
from typing import Any

import sqlalchemy as sa
from prometheus_client import REGISTRY
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from events.bridges.sqlalchemy import instrument
from metrics import CATALOGUE, subscribe

ONE = sa.text("select 1")
TRIES = 60
Run = Callable[[int], None]


class Base(DeclarativeBase):
    pass


class Thing(Base):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(40))
    kind: Mapped[str] = mapped_column(sa.String(40))
    size: Mapped[int]


def new_engine(url: str) -> sa.Engine:
    """Return an engine with the kind of pool that engines in production have."""
    in_memory: dict[str, Any] = {"poolclass": sa.QueuePool, "connect_args": {"check_same_thread": False}}
    return sa.create_engine(url, pool_size=1, max_overflow=0, **(in_memory if url == "sqlite://" else {}))


def nothing(url: str) -> sa.Engine:
    """Return an engine without instrumentation."""
    return new_engine(url)


def empty_pair(url: str) -> sa.Engine:
    """Return an engine with empty listeners to the public pair of events: no listener can cost less."""
    engine = new_engine(url)

    def before(_1: Any, _2: Any, _3: str, _4: Any, _5: Any, _6: bool) -> None: ...

    def after(_1: Any, _2: Any, _3: str, _4: Any, _5: Any, _6: bool) -> None: ...

    sa.event.listen(engine, "before_cursor_execute", before)
    sa.event.listen(engine, "after_cursor_execute", after)
    return engine


def ours(url: str) -> sa.Engine:
    """Return an instrumented engine, with the whole catalogue subscribed."""
    subscribe(CATALOGUE, REGISTRY, namespace="sparklio", label_values={"pool": ["main"]})
    engine = new_engine(url)
    instrument(engine, metadata=Base.metadata)
    return engine


def otel(url: str) -> sa.Engine:
    """Return an engine with OpenTelemetry's spans, which nothing exports."""
    instrumentation: Any = import_module("opentelemetry.instrumentation.sqlalchemy")
    tracing: Any = import_module("opentelemetry.sdk.trace")
    engine = new_engine(url)
    instrumentation.SQLAlchemyInstrumentor().instrument(engine=engine, tracer_provider=tracing.TracerProvider())
    return engine


@contextmanager
def select(engine: sa.Engine) -> Iterator[Run]:
    """Send SELECT 1 on an open connection."""
    with engine.connect() as connection:

        def run(times: int) -> None:
            for _ in range(times):
                connection.execute(ONE).scalar()

        yield run


@contextmanager
def get(engine: sa.Engine) -> Iterator[Run]:
    """Load an object by Session.get, in an open session."""
    with Session(engine) as session:

        def run(times: int) -> None:
            for _ in range(times):
                session.expunge_all()
                session.get(Thing, 1)

        yield run


@contextmanager
def cycle(engine: sa.Engine) -> Iterator[Run]:
    """Connect, SELECT 1 and close."""

    def run(times: int) -> None:
        for _ in range(times):
            with engine.connect() as connection:
                connection.execute(ONE).scalar()

    yield run


VARIANTS = {each.__name__: each for each in (nothing, empty_pair, ours, otel)}
SCENARIOS = {each.__name__: each for each in (select, get, cycle)}


def main(variant: str, url: str) -> None:
    """Answer the lines of standard input until it ends."""
    clock = process_time if url == "sqlite://" else perf_counter  # on a server the waiting is part of it
    engine = VARIANTS[variant](url)
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.merge(Thing(id=1, name="a", kind="b", size=1))
    print(sa.__version__, flush=True)
    for line in sys.stdin:
        scenario, times = line.split()
        with SCENARIOS[scenario](engine) as run:
            run(5)
            gc.collect()
            gc.disable()
            spent = []
            for _ in range(TRIES):
                began = clock()
                run(int(times))
                spent.append(clock() - began)
            gc.enable()
        print(1e6 * min(spent) / int(times), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
