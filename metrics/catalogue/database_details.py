"""Further details of a database: optional, subscribed by who wants them."""

from __future__ import annotations

from events import connection_closed, query_executed, rows_streamed, savepoint_ended, transaction_ended

from .. import buckets
from ..rows import counter, histogram
from .database import OPERATION_OF_TABLE

# fmt: off
DATABASE_DETAILS = (
    counter("db_rows_total", "Rows returned or matched, as far as the driver says; of streams none.",
        query_executed, value="rows", labels=("operation", "table"), nested_in=OPERATION_OF_TABLE, initialize=False),
    counter("db_slow_queries_total", "Statements that took as long as what counts as slow.",
        query_executed, labels=("operation", "table"), nested_in=OPERATION_OF_TABLE, where={"slow": True},
        initialize=False),
    counter("db_compiled_cache_total", "Statements by whether SQLAlchemy had them compiled.",
        query_executed, labels=("cache",)),
    histogram("db_fetch_seconds", "Time spent waiting for the rows of a streamed result.",
        rows_streamed, value="duration", labels=("table",), buckets=buckets.QUERY, initialize=False),
    histogram("db_transaction_duration_seconds", "Time from a transaction's begin to its end.",
        transaction_ended, value="duration", labels=("outcome",), buckets=buckets.HOLD),
    histogram("db_connection_lifetime_seconds", "Age at which connections were closed.",
        connection_closed, value="lifetime", labels=("pool",), buckets=buckets.LIFETIME),
    counter("db_savepoints_total", "Savepoints released or rolled back to.",
        savepoint_ended, labels=("outcome",)),
)
# fmt: on
