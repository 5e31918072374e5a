"""The queue of runs as this process takes from it: its own limit, and the one of all processes together.

DBOS stores the limits of a queue in a row, so the process that starts last would set them for all. Its own queues it
has in memory alone. The queue of runs is one of these here: each process has its own limit, and no look reads the row.

DBOS can hold a limit over all processes too. But of two that look at the same moment one fails, logs it, and looks half
as often; and where they do not see the same runs, as those of two versions, both claim. So they take turns here by a
lock of the database, and only where there is a run to claim and room for it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

from dbos import DBOS, DBOSClient
from dbos._sys_db import SystemDatabase
from sqlalchemy import Connection, Engine, text

from . import dbos_pace, dbos_tables

QUEUE = "runs"

_CLAIM_LOCK = 0x5350_4B4E  # the key of our PostgreSQL advisory lock; any constant
# The second condition is an index's. Not in one statement: what one sees is older than a lock that it takes.
_READ_QUEUE = text(
    f"SELECT (SELECT count(*) FROM {dbos_tables.SCHEMA}.workflow_status"  # noqa: S608 - a name of ours
    " WHERE queue_name = :queue AND status = 'PENDING' AND status IN ('ENQUEUED', 'PENDING')),"
    f" EXISTS (SELECT FROM {dbos_tables.SCHEMA}.workflow_status"
    " WHERE queue_name = :queue AND status = 'ENQUEUED' AND status IN ('ENQUEUED', 'PENDING'))"
)
_TOTAL_REACHED = "concurrency"  # what DBOS says where a limit over all processes leaves no room
_LOCK = text("SELECT 1 WHERE pg_try_advisory_xact_lock(:key)")  # not as DBOS does: a restore ends those who ask so


def declare(dbos: DBOS, url: str, application: str, *, slots: int, total: int | None) -> None:
    """Declare the queue, before DBOS is launched.

    Args:
        dbos: DBOS, not launched.
        url: The URL of its database.
        application: Its name there.
        slots: How many runs this process executes at once; with 0 it takes none.
        total: How many all processes together may execute at once; None where each has its own limit alone.
    """
    registry = dbos._registry  # noqa: SLF001 - there is no public way to have limits of one's own
    registry.internal_queue_map.pop(QUEUE, None)  # it outlives DBOS
    if _has_own_queues(dbos):
        DBOS.listen_queues([])  # to none of the table, where earlier releases have stored this one
        if slots:
            registry._register_internal_queue(  # noqa: SLF001 - the same
                QUEUE, worker_concurrency=slots, polling_interval_sec=dbos_pace.POLLING_INTERVAL
            )
        return
    DBOS.listen_queues([QUEUE] if slots else [])
    if slots:
        _store(url, application, slots=slots, total=total)


def hold_total(dbos: DBOS, engine: Engine, *, slots: int, total: int) -> None:
    """Have a launched DBOS claim no more runs than all processes together may execute.

    Args:
        dbos: DBOS, launched.
        engine: The engine of its database, a PostgreSQL.
        slots: How many runs this process executes at once.
        total: How many all may.
    """
    if not _has_own_queues(dbos):
        return  # the row has it
    database: Any = dbos._sys_db  # noqa: SLF001 - there is no public way to look at what DBOS is about to claim
    claim = database.start_queued_workflows

    def claim_within(
        queue: Any, executor: str, version: str, key: Any, running: int = 0, *more: Any, **named: Any
    ) -> Any:
        if queue.name != QUEUE or running >= slots:
            return claim(queue, executor, version, key, running, *more, **named)
        pending, is_any_queued = _read(engine)
        if not is_any_queued:
            return [], None
        if pending >= total:
            return [], _TOTAL_REACHED
        with _turn(database.engine) as turn:  # the tables are those of its schema
            if turn is None or turn.pending >= total:
                return [], _TOTAL_REACHED
            room = total - turn.pending
            claim_in_turn = _claim_on(turn.connection, database)
            # The more DBOS believes to be running, the fewer it claims.
            claimed, limit = claim_in_turn(queue, executor, version, key, max(running, slots - room), *more, **named)
        return claimed, _TOTAL_REACHED if len(claimed) == room else limit

    database.start_queued_workflows = claim_within


def _read(engine: Engine) -> tuple[int, bool]:
    """Return how many runs are under way, and whether one waits."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        pending, is_any_queued = connection.execute(_READ_QUEUE, {"queue": QUEUE}).one()
    return pending, is_any_queued


@dataclass(frozen=True, slots=True)
class _Turn:
    """The turn of this process to claim runs.

    Attributes:
        connection: The one in whose transaction it has the lock.
        pending: How many runs are under way.
    """

    connection: Connection
    pending: int


@contextmanager
def _turn(engine: Any) -> Generator[_Turn | None]:
    """Yield the turn of this process, while no other one claims any run; None where it is another one's.

    Where it is suspended meanwhile, PostgreSQL ends the transaction, which idles (`app.database.postgresql_sessions`):
    the others go on then, and this process has claimed nothing.
    """
    with engine.begin() as connection:
        if connection.scalar(_LOCK, {"key": _CLAIM_LOCK}) is None:
            yield None
        else:
            yield _Turn(connection, connection.execute(_READ_QUEUE, {"queue": QUEUE}).one()[0])


def _claim_on(connection: Connection, database: Any) -> Callable[..., Any]:
    """Return DBOS's method that claims workflows, which does it in a transaction that has begun.

    In one of its own it would claim also where the lock is lost meanwhile.
    """
    in_turn = copy(database)
    in_turn.engine = _EngineInTurn(connection)
    return partial(type(database).start_queued_workflows, in_turn)


class _EngineInTurn:
    """An engine whose one connection is in a transaction that somebody else ends."""

    def __init__(self, connection: Connection) -> None:
        self.dialect = connection.dialect
        self._connection = connection

    def connect(self) -> AbstractContextManager[_ConnectionInTurn]:
        return nullcontext(_ConnectionInTurn(self._connection))


class _ConnectionInTurn:
    def __init__(self, connection: Connection) -> None:
        self.begin = nullcontext
        self.execute = connection.execute


def _has_own_queues(dbos: DBOS) -> bool:
    registry = dbos._registry  # noqa: SLF001 - the same
    return hasattr(registry, "_register_internal_queue") and hasattr(SystemDatabase, "start_queued_workflows")


def _store(url: str, application: str, *, slots: int, total: int | None) -> None:
    """Store the queue and its limits, for all processes: what is left where DBOS has no queues in memory."""
    client = DBOSClient(
        system_database_url=url,
        dbos_system_schema=dbos_tables.SCHEMA,
        application_name=application,
        retry_connection_errors=False,
    )
    try:
        client.register_queue(
            QUEUE, worker_concurrency=slots, global_concurrency=total, polling_interval_sec=dbos_pace.POLLING_INTERVAL
        )
    finally:
        client.destroy()
