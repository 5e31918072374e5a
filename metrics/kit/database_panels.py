"""The dashboard of the database."""

from __future__ import annotations

from . import promql
from .panel_rows import A_MINUTE, Dashboard, Panel, Section, Variable, q

OF = 'pool=~"$pool"'
QUERY = "db_query_duration_seconds"
INTERVAL = "$__rate_interval"

# fmt: off
DATABASE = Dashboard(uid="database", title="Database", what="Pools (use, saturation, errors), then statements.",
    variables=(Variable(name="pool", family="db_pool_connections", label="pool"),),
    sections=(
        Section(title="Pools", panels=(
            Panel(title="Connections", show="stacked", unit="short", queries=(q(f"sum by (pool, state) (NS_db_pool_connections{{{OF}}})", "{{pool}} {{state}}"),)),
            Panel(title="Pool in use", show="lines", unit="percentunit", width=4, steps={0: "green", 0.8: "orange", 0.95: "red"}, what="Share of the connections that a pool may have, now, and the most since the last scrape.", queries=(
                q(f"pool:NS_db_pool_used:ratio{{{OF}}}", "{{pool}}"), q(f"max by (pool) (NS_db_pool_peak_connections{{{OF}}} / on (instance, pool) NS_db_pool_capacity)", "{{pool}} most"))),
            Panel(title="Callers that wait", show="lines", unit="short", width=4, steps={0: "green", 1: "orange"}, what="Now, and the most since the last scrape.", queries=(
                q(f"sum by (pool) (NS_db_pool_pending_requests{{{OF}}})", "{{pool}}"), q(f"max by (pool) (NS_db_pool_peak_pending_requests{{{OF}}})", "{{pool}} most"))),
            Panel(title="Wait for a connection, p95", show="lines", steps={0: "green", 0.1: "orange", 1: "red"}, queries=(q(promql.quantile(0.95, "db_pool_acquire_seconds", "pool", OF), "{{pool}}"),)),
            Panel(title="Held without querying, p95", show="lines", what="A session that is open across a model call shows here.", queries=(q(promql.quantile(0.95, "db_connection_idle_hold_seconds", "pool, scope", OF), "{{pool}} {{scope}}"),)),
            Panel(title="Oldest hold", show="lines", queries=(q(f"max by (pool) (NS_db_connection_oldest_hold_seconds{{{OF}}})", "{{pool}}"),)),
            Panel(title="Timed out waiting, and leaked", show="stat", unit="short", steps={0: "green", 1: "red"}, queries=(
                q(promql.increase("db_pool_timeouts_total", "pool", OF), "{{pool}} timed out"), q(promql.increase("db_connections_leaked_total", "pool", OF), "{{pool}} leaked"))),
        )),
        Section(title="Statements", panels=(
            Panel(title="Statements a second", show="stacked", unit="ops", what="Of the application's own pools: those of a library's pool are in its transactions and connections alone.", queries=(q(promql.rate("db_queries_total", "operation"), "{{operation}}"),)),
            Panel(title="Failures, a minute", show="bars", unit=A_MINUTE, empty="Nothing failed.", queries=(q(promql.causes("db_errors_total", "phase, error"), "{{phase}} {{error}}"),)),
            Panel(title="Transactions by outcome", show="stacked", unit="ops", colours={"commit": "green", "rollback": "orange", "released": "blue", "failed": "red"}, queries=(q(promql.rate("db_transactions_total", "outcome"), "{{outcome}}"),)),
            Panel(title="Time by operation and table", show="stacked", unit="s", width=12, height=10, what="Seconds a second: what to make faster first.", queries=(q(f"topk(8, {promql.observed(QUERY, 'operation, table')})", "{{operation}} {{table}}"),)),
            Panel(title="Time of a statement, p95", show="lines", width=12, height=10, queries=(q(promql.quantile(0.95, QUERY, "operation, table"), "{{operation}} {{table}}"),)),
            Panel(title="Statements of one piece of work, p99", show="lines", unit="short", width=12, steps={0: "green", 20: "orange"}, queries=(q(promql.quantile(0.99, "db_scope_queries", "scope"), "{{scope}}"),)),
            Panel(title="Repeated statements (N+1), in each interval", show="bars", unit="short", width=12, empty="No statement was repeated more than five times by one piece of work, nothing was loaded lazily.", queries=(
                q(promql.trouble_seen("db_repeated_queries_total", "scope, table", INTERVAL), "{{scope}} {{table}}"), q(promql.trouble_seen("db_lazy_loads_total", "relationship", INTERVAL), "{{relationship}}"))),
            Panel(title="Time of a COMMIT, p95", show="lines", width=12, height=6, queries=(q(promql.quantile(0.95, "db_commit_duration_seconds", "outcome"), "{{outcome}}"),)),
            Panel(title="Slow statements, in each interval", show="bars", unit="short", width=12, height=6, empty="No statement was slow.", queries=(q(promql.trouble_seen("db_slow_queries_total", "operation, table", INTERVAL), "{{operation}} {{table}}"),)),
        )),
    ))
# fmt: on
