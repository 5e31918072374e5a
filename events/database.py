"""Events of databases: statements, transactions, connections and their pools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from .applications import is_among
from .bus.fields import Label, Seconds, inherited
from .bus.signal import Signal

Operation = Literal["select", "insert", "update", "delete", "merge", "call", "copy", "ddl", "savepoint", "set", "other"]
"""What a statement does."""

# fmt: off
DatabaseError = Literal["integrity", "deadlock", "serialization", "statement_timeout", "lock_timeout", "disconnect",
                        "cancelled", "syntax", "permission", "data", "connect", "other"]
# fmt: on
"""Why a database operation failed, told apart by what one would do about it."""

Phase = Literal["connect", "ping", "compile", "execute", "fetch", "commit", "rollback"]
"""What was being done when it failed; ``compile`` is anything before the statement was sent."""

Caller = Literal["http", "agent", "workflow", "none"]
"""The innermost scope that used the database: an HTTP request, an agent, a workflow outside its agents, or none."""

Cache = Literal["hit", "miss", "disabled", "no_key", "none"]
"""Whether SQLAlchemy had the statement in its cache of compiled ones; ``none`` where it compiles nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryExecuted:
    """A statement was sent to a database and was executed, or failed.

    ``table`` is the bare name of the table written to, or of the first one read; ``none`` without one, ``system`` for
    the database's own, ``other`` for one that is not in the metadata. ``duration`` covers the execution, and fetching
    where the driver does it as part of that; fetching that comes after it is in `RowsStreamed`. ``error`` is the name
    of the exception's class, never its message, which quotes what was sent. ``rows`` is the number returned or matched
    as the driver reports it, unknown for streams and where it reports none. ``own`` is False of an engine of another
    library, see `instrument`.
    """

    engine: Label = "main"
    operation: Operation
    table: Label
    duration: Seconds
    error: str = ""
    rows: int | None = None
    cache: Cache = "none"
    slow: bool = False
    own: bool = True
    agent_name: Label = inherited()
    run_id: str = inherited("")


query_executed = Signal(QueryExecuted)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsStreamed:
    """The rows of a result were fetched to their end, or as far as the program wanted them.

    Emitted of each stream, and of a result whose rows the driver computes as they are fetched (sqlite3, DuckDB) if that
    took half a millisecond. It ends with its last row, when it is closed, with its connection, or when the program
    dropped it: then as soon as that is noticed. ``duration`` is the time spent waiting for rows, ``rows`` their
    number. ``slow`` is a statement that only its fetching made slow; one that was slow before is so in `QueryExecuted`.
    """

    pool: Label = "main"
    operation: Operation = "select"
    table: Label
    duration: Seconds
    rows: int
    slow: bool = False
    own: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFailed:
    """A database operation failed; a statement that fails is emitted as `query_executed` as well.

    A statement that was executed and fails while its rows are fetched is emitted as this event alone, with its
    operation and its table. ``operation`` is ``savepoint`` for what begins and ends transactions, ``none`` where no
    statement was sent yet: connecting, pinging, compiling. ``exception`` is the name of the exception's class.
    """

    pool: Label = "main"
    phase: Phase
    error: DatabaseError
    operation: Literal[Operation, "none"] = "none"
    table: Label = "none"
    exception: str = ""
    own: bool = True
    agent_name: Label = inherited()
    run_id: str = inherited("")


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionEnded:
    """A transaction ended.

    The outcome ``released`` is a rollback that loses nothing: nothing was written and nothing failed, as when a session
    that only read is closed. Rows that SELECT ... FOR UPDATE locked were not written. ``failed`` is a COMMIT or
    ROLLBACK that failed, or a connection that was lost before it. Where each statement commits by itself nothing is
    emitted.
    ``commit`` is the time that COMMIT took, None where none was sent.
    """

    pool: Label = "main"
    outcome: Literal["commit", "rollback", "released", "failed"]
    duration: Seconds
    commit: Seconds | None = None
    own: bool = True
    agent_name: Label = inherited()
    run_id: str = inherited("")


@dataclass(frozen=True, slots=True, kw_only=True)
class SavepointEnded:
    """A savepoint was released or rolled back to."""

    pool: Label = "main"
    outcome: Literal["released", "rollback", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionAcquired:
    """A connection was checked out of a pool, or the checkout failed.

    ``duration`` is how long the caller waited; ``wait`` is the part of it spent in the pool's queue, without connecting
    and pinging. ``own`` is as in `QueryExecuted`.
    """

    pool: Label = "main"
    outcome: Literal["ok", "timeout", "cancelled", "error"]
    duration: Seconds
    wait: Seconds
    own: bool = True
    agent_name: Label = inherited()
    run_id: str = inherited("")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionReleased:
    """A connection was returned to its pool, or left it for good while it was checked out, or did more after that.

    ``statements`` is the number of those that were sent on it, and ``busy`` the part of ``duration`` in which it was
    executing, fetching or ending a transaction, ``idle`` the other one; they are None where that was not measured.
    ``scope`` is where it was checked out. ``leaked`` is a connection that the garbage collector had to return. What a
    connection does that was detached from its pool is emitted again and again, without ``duration`` and ``idle``.
    """

    pool: Label = "main"
    scope: Caller
    duration: Seconds | None
    idle: Seconds | None
    busy: Seconds | None = None
    statements: int | None = None
    leaked: bool = False
    agent_name: Label = "unknown"
    run_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOpened:
    """A connection to a database was opened."""

    pool: Label = "main"
    duration: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionClosed:
    """A connection was closed, or left its pool for good.

    The reason ``overflow`` is a connection returned to a pool that was full, ``unpooled`` one returned to a pool that
    keeps none (`NullPool`). ``recycle`` is one that was too old, ``invalidated`` one that was lost, or opened before
    another was lost, as when the server restarts; ``ping_failed`` is the one that showed it. ``dispose`` is one closed
    with its pool: at once where it was idle; by the garbage collector where it was checked out, emitted when the pool
    is next read or opens a connection. ``lifetime`` is None for one opened before the engine was instrumented.
    """

    pool: Label = "main"
    reason: Literal[
        "recycle", "overflow", "unpooled", "invalidated", "cancelled", "ping_failed", "detached", "leaked", "dispose"
    ]  # fmt: skip
    lifetime: Seconds | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRead:
    """The state of a pool was read, at a scrape: of all engines of that name together.

    ``capacity`` is None where there is no limit, and everything where no engine has that name any more. The peaks are
    the largest values since the last scrape; those of several engines are added up, whether they were at once or not.
    """

    pool: Label = "main"
    used: int | None = None
    idle: int | None = None
    overflow: int | None = None
    capacity: int | None = None
    pending: int | None = None
    peak_used: int | None = None
    peak_pending: int | None = None
    oldest_hold: Seconds | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseUsed:
    """A scope that used a database ended: how many statements it sent, how long it waited for them and their rows.

    ``repeated`` of them are those that `query_repeated` tells of. ``endpoint`` is that of a request, and
    ``applications`` the names of those that served it; ``workflow_type`` is that of the workflow that the scope is of
    or in.
    """

    scope: Caller
    queries: int
    duration: Seconds
    repeated: int = 0
    endpoint: Label | None = None
    applications: str = ""
    workflow_type: Label | None = None
    agent_name: Label = "unknown"
    run_id: str = ""

    is_of_fields: ClassVar = ("applications", "scope")

    def is_of(self, application: str) -> bool:
        """Return whether the application of this name served the request; what is no request's is every one's."""
        return self.scope != "http" or is_among(self.applications, application)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryRepeated:
    """A scope sent a statement again that it had sent five times before: the N+1 problem."""

    scope: Caller
    table: Label
    agent_name: Label = inherited()
    run_id: str = inherited("")


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationshipLoaded:
    """A relationship was loaded lazily: by a query of its own, when it was first accessed."""

    relationship: Label
    scope: Caller
    agent_name: Label = inherited()
    run_id: str = inherited("")


rows_streamed = Signal(RowsStreamed)
database_failed = Signal(DatabaseFailed)
transaction_ended = Signal(TransactionEnded)
savepoint_ended = Signal(SavepointEnded)
connection_acquired = Signal(ConnectionAcquired)
connection_released = Signal(ConnectionReleased)
connection_opened = Signal(ConnectionOpened)
connection_closed = Signal(ConnectionClosed)
pool_read = Signal(PoolRead)
database_used = Signal(DatabaseUsed)
query_repeated = Signal(QueryRepeated)
relationship_loaded = Signal(RelationshipLoaded)
