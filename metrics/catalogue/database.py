"""Database statements, transactions, connection pools and errors, and who caused them."""

from __future__ import annotations

from events import (
    connection_acquired,
    connection_closed,
    connection_opened,
    connection_released,
    database_failed,
    database_used,
    pool_read,
    query_executed,
    query_repeated,
    relationship_loaded,
    rows_streamed,
    transaction_ended,
)

from .. import buckets
from ..rows import counter, gauge, histogram

LABEL_LIMITS = {
    "operation": 210,  # pairs of table and operation
    "pool": 6,
    "relationship": 40,
    "table": 102,  # a hundred, none and system
}
"""How many values an open label takes, by its name."""

PRESET_LABEL_VALUES = {"table": ("none", "system")}
"""Values that the bridges use beside those that they learn."""

# Help texts that several rows share.
QUERY_ERRORS = "Statements that failed, as they were executed or as their rows were fetched."
SLOW_QUERIES = "Statements that took as long as what counts as slow, with the fetching of their rows."
COMMITS = "Time a COMMIT took, failed ones too."
POOL_CONNECTIONS = "Connections of a pool, in use or idle."

# Few of a table's operations occur, so pairs are counted.
OPERATION_OF_TABLE = {"operation": "table"}

# What ails a database, and not what it was asked: each is to be seen the first time.
OF_THE_SERVER = {"error": ("connect", "disconnect", "deadlock", "lock_timeout", "statement_timeout", "other")}

# Of another library's engine statements, failures and transactions are counted by pool alone.
OWN = {"own": True}

# fmt: off
DATABASE = (
    counter("db_queries_total", "Statements sent to the database, failed ones too.",
        query_executed, labels=("operation", "table"), nested_in=OPERATION_OF_TABLE, where=OWN, initialize=False),
    histogram("db_query_duration_seconds",
        "Time from sending a statement to the driver's answer; fetching is in db_fetch_seconds.",
        query_executed, value="duration", labels=("operation", "table"), nested_in=OPERATION_OF_TABLE,
        buckets=buckets.QUERY, where=OWN, initialize=False),
    histogram("db_fetch_seconds",
        "Time spent waiting for the rows of a stream, or of a driver that computes them meanwhile, from 0.5 ms on.",
        rows_streamed, value="duration", labels=("table",), buckets=buckets.QUERY, where=OWN,
        initialize=False),
    counter("db_rows_total", "Rows returned or matched, as far as the driver says; of streams none.",
        query_executed, value="rows", labels=("operation", "table"), nested_in=OPERATION_OF_TABLE, where=OWN,
        initialize=False),
    counter("db_slow_queries_total", SLOW_QUERIES,
        query_executed, labels=("operation", "table"), nested_in=OPERATION_OF_TABLE, where={"slow": True, "own": True},
        initialize=False),
    counter("db_slow_queries_total", SLOW_QUERIES,
        rows_streamed, labels=("operation", "table"), nested_in=OPERATION_OF_TABLE, where={"slow": True, "own": True},
        initialize=False),
    counter("db_query_errors_total", QUERY_ERRORS,
        database_failed, labels=("operation", "table", "error"), nested_in=OPERATION_OF_TABLE,
        where={"phase": "execute", "own": True}, initialize=False),
    counter("db_query_errors_total", QUERY_ERRORS,
        database_failed, labels=("operation", "table", "error"), nested_in=OPERATION_OF_TABLE,
        where={"phase": "fetch", "own": True}, initialize=False),
    counter("db_errors_total", "Failures of a database, by what was being done.",
        database_failed, labels=("phase", "error"), where=OWN, initialize=False),
    counter("db_transactions_total", "Transactions that ended; released is a rollback after which nothing is lost.",
        transaction_ended, labels=("outcome",), where=OWN),
    # Not of the outcome released, which is a ROLLBACK each time.
    histogram("db_commit_duration_seconds", COMMITS, transaction_ended, value="commit", labels=("outcome",),
        where={"outcome": "commit", "own": True}, buckets=buckets.QUERY),
    histogram("db_commit_duration_seconds", COMMITS, transaction_ended, value="commit", labels=("outcome",),
        where={"outcome": "rollback", "own": True}, buckets=buckets.QUERY),
    histogram("db_commit_duration_seconds", COMMITS, transaction_ended, value="commit", labels=("outcome",),
        where={"outcome": "failed", "own": True}, buckets=buckets.QUERY),
    counter("db_pool_statements_total",
        "Statements sent to a pool's database, counted when a connection returns.",
        connection_released, value="statements", labels=("pool",)),
    counter("db_pool_statement_seconds_total",
        "Time of statements, fetching and ends of transactions, counted when a connection returns.",
        connection_released, value="busy", labels=("pool",)),
    counter("db_pool_errors_total", "Failures of the database of a pool.",
        database_failed, labels=("pool", "error"), expected=OF_THE_SERVER),
    counter("db_pool_transactions_total", "Transactions that ended, by pool.",
        transaction_ended, labels=("pool", "outcome")),
    gauge("db_pool_connections", POOL_CONNECTIONS,
        pool_read, value="used", labels=("pool",), const_labels={"state": "used"}),
    gauge("db_pool_connections", POOL_CONNECTIONS,
        pool_read, value="idle", labels=("pool",), const_labels={"state": "idle"}),
    gauge("db_pool_capacity", "The most connections that a pool may have; absent without a limit.",
        pool_read, value="capacity", labels=("pool",), initialize=False),
    gauge("db_pool_overflow", "Connections of a pool beyond those that it keeps.",
        pool_read, value="overflow", labels=("pool",)),
    gauge("db_pool_pending_requests", "Callers that stand in a pool's queue.",
        pool_read, value="pending", labels=("pool",)),
    gauge("db_pool_peak_connections", "The most connections of a pool in use at once since the last scrape.",
        pool_read, value="peak_used", labels=("pool",)),
    gauge("db_pool_peak_pending_requests", "The most callers that stood in a pool's queue since the last scrape.",
        pool_read, value="peak_pending", labels=("pool",)),
    histogram("db_pool_acquire_seconds",
        "Time from asking a pool for a connection to the answer, connecting included.",
        connection_acquired, value="duration", labels=("pool", "outcome"), buckets=buckets.POOL_WAIT),
    histogram("db_pool_wait_seconds", "Time spent in a pool's queue alone.",
        connection_acquired, value="wait", labels=("pool",), buckets=buckets.POOL_WAIT),
    counter("db_pool_timeouts_total", "Callers that a pool sent away after its time limit.",
        connection_acquired, labels=("pool",), where={"outcome": "timeout"}),
    histogram("db_connection_create_seconds", "Time that making a connection took.",
        connection_opened, value="duration", labels=("pool",), buckets=buckets.CONNECT),
    counter("db_connections_closed_total", "Connections closed or gone from their pool for good.",
        connection_closed, labels=("pool", "reason"), initialize=False),
    histogram("db_connection_hold_seconds", "Time that a connection was out of its pool.",
        connection_released, value="duration", labels=("pool",), buckets=buckets.HOLD),
    histogram("db_connection_idle_hold_seconds",
        "Time that a connection was out of its pool and not querying.",
        connection_released, value="idle", labels=("pool", "scope"), buckets=buckets.HOLD),
    counter("db_connections_leaked_total", "Connections that the garbage collector gave back.",
        connection_released, labels=("pool",), where={"leaked": True}),
    gauge("db_connection_oldest_hold_seconds", "Age of the oldest hold under way; 0 without one.",
        pool_read, value="oldest_hold", labels=("pool",), multiprocess_mode="livemax"),
    histogram("db_scope_queries",
        "Statements of one request, agent or workflow, if any: each counts at all scopes around.",
        database_used, value="queries", labels=("scope",), buckets=buckets.QUERIES),
    histogram("db_scope_db_seconds",
        "Time of statements of one request, agent or workflow: each counts at all scopes around.",
        database_used, value="duration", labels=("scope",), buckets=buckets.QUERIES_SECONDS),
    counter("db_repeated_queries_total",
        "Statements sent again by one request, agent or workflow that had sent them five times.",
        query_repeated, labels=("scope", "table"), initialize=False),
    counter("db_repeated_queries_by_endpoint_total", "The same, by the endpoint of a request.",
        database_used, value="repeated", labels=("endpoint",), where={"scope": "http"}),
    counter("db_repeated_queries_by_workflow_total", "The same, by the workflow, outside its agents.",
        database_used, value="repeated", labels=("workflow_type",), where={"scope": "workflow"}),
    counter("db_time_by_workflow_seconds_total", "Time that workflows waited for statements, in their agents too.",
        database_used, value="duration", labels=("workflow_type",), where={"scope": "workflow"}),
    counter("db_lazy_loads_total", "Relationships loaded by a query of their own when they were touched.",
        relationship_loaded, labels=("relationship",), initialize=False),
)
# fmt: on
