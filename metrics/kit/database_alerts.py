"""Alerts on the database and its connection pools."""

from __future__ import annotations

from . import promql
from .alert_rows import Alert
from .objectives import HOLD_SECONDS, POOL_USED, REPEATED_STATEMENTS

USED = "sum by (pool, state) (NS_db_pool_connections)"
HOLDS = promql.quantile(0.95, "db_connection_idle_hold_seconds", "pool, scope", window="10m")
SLOW = promql.quantile(0.95, "db_query_duration_seconds", "operation, table", window="10m")
FAILURES = promql.grown("db_errors_total", "job, phase, error", "5m", 'error!~"integrity|cancelled"')
NEW_REPEATS = promql.born_within("NS_db_repeated_queries_total", "15m")

# fmt: off
DATABASE = (
    Alert(name="DatabaseFails", severity="page", wait="1m",
        expr=f"{FAILURES} > 3",
        summary='The database fails at {{ $labels.phase }}: {{ $value | printf "%.0f" }} times {{ $labels.error }}',
        means="Statements or connections fail. A unique constraint that refuses a row (integrity) and a client that "
        "went away (cancelled) are no failures of the database.",
        hurts="Everybody, once it lasts: requests fail, runs stop and are taken up again when it is back.",
        confirm=(promql.grown("db_errors_total", "phase, error", "5m") + " > 0",
            "sum by (pool, error) (increase(NS_db_pool_errors_total[5m])) > 0"),
        act=("connect, disconnect: does it run, is its file there, has it connections left (PostgreSQL's `max_connections`)?",
            "lock_timeout, deadlock: on PostgreSQL `SELECT * FROM pg_locks WHERE NOT granted`, then `pg_stat_activity`; on SQLite "
            "another process holds the file: `fuser FILE`.",
            "statement_timeout: the slowest statement, and its plan.")),
    Alert(name="PoolFull", severity="ticket", wait="1m",
        expr=f"min_over_time(pool:NS_db_pool_used:ratio[2m]) >= {POOL_USED}\n"
        "or max by (job, pool) (min_over_time(NS_db_pool_pending_requests[1m])) > 0",
        summary="Pool {{ $labels.pool }}: every connection is in use, or callers wait for one",
        means="For minutes no connection was free. Whoever needs one waits, and is sent away in the end.",
        hurts="Requests and runs that need the database: they are slow.",
        confirm=(USED, promql.quantile(0.95, "db_pool_wait_seconds", "pool", window="10m"), SLOW, HOLDS),
        act=("Statements are slow: mend the slowest.",
            "Connections are held without querying: a session is open across a model call; close it before.",
            "Neither: the pool is too small for what there is to do.")),
    Alert(name="PoolRefuses", severity="page",
        expr=promql.first_trouble("db_pool_timeouts_total", "job, pool", "5m"),
        summary='Pool {{ $labels.pool }} sent {{ $value | printf "%.0f" }} callers away',
        means="A caller waited for a connection as long as the pool allows, and got none.",
        hurts="Whose requests these are: they fail.",
        confirm=("sum by (pool) (increase(NS_db_pool_timeouts_total[5m])) > 0", USED, HOLDS),
        act=("As for PoolFull; restarting frees what is held.",)),
    Alert(name="ConnectionHeld", severity="ticket", wait="1m",
        expr=f"max by (job, pool) (NS_db_connection_oldest_hold_seconds) > {HOLD_SECONDS}",
        summary="Pool {{ $labels.pool }}: a connection has been out for {{ $value | humanizeDuration }}",
        means="Somebody took a connection minutes ago and has not given it back.",
        hurts="Nobody yet; with each further one the pool gets smaller.",
        confirm=("max by (pool) (NS_db_connection_oldest_hold_seconds)", USED, HOLDS),
        act=("The log says who holds it.", "A statement that waits for a lock: `SELECT * FROM pg_locks WHERE NOT granted`.",
            "A session that is open across a model call: close it before.")),
    Alert(name="ConnectionLeaked", severity="ticket",
        expr=promql.first_trouble("db_connections_leaked_total", "job, pool", "1h"),
        summary='Pool {{ $labels.pool }}: {{ $value | printf "%.0f" }} connections were never given back',
        means="The garbage collector found connections that nobody had returned.",
        hurts="Nobody yet; under load the pool runs out.",
        confirm=("sum by (pool) (max_over_time(NS_db_connections_leaked_total[1d]))",),
        act=("Look for a session or connection that is opened without `with`.",)),
    Alert(name="StatementsRepeat", severity="ticket",
        expr=f"sum by (job, scope, table) (increase(NS_db_repeated_queries_total[15m])) > {REPEATED_STATEMENTS}\n"
        f"or sum by (job, scope, table) ({NEW_REPEATS}) > {REPEATED_STATEMENTS}",
        summary="The same statement on {{ $labels.table }} is sent again and again ({{ $labels.scope }})",
        means="One request, agent or workflow sent a statement more than five times, and did so often: N+1.",
        hurts="Who waits for it, more with each row.",
        confirm=("sum by (scope, table) (increase(NS_db_repeated_queries_total[1h])) > 0",
            "sum by (relationship) (increase(NS_db_lazy_loads_total[1h])) > 0",
            "topk(5, sum by (endpoint) (increase(NS_db_repeated_queries_by_endpoint_total[1h])))"),
        act=("Load the relationship together with the rows (`selectinload`).",)),
)
# fmt: on
