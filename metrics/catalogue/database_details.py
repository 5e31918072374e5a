"""Further details of a database: optional, subscribed by who wants them."""

from __future__ import annotations

from events import connection_closed, query_executed, savepoint_ended, transaction_ended

from .. import buckets
from ..rows import counter, histogram
from .database import OWN

# fmt: off
DATABASE_DETAILS = (
    counter("db_compiled_cache_total", "Statements by whether SQLAlchemy had them compiled.",
        query_executed, labels=("cache",), where=OWN),
    histogram("db_transaction_duration_seconds", "Time from a transaction's begin to its end.",
        transaction_ended, value="duration", labels=("outcome",), where=OWN, buckets=buckets.HOLD),
    histogram("db_connection_lifetime_seconds", "Age at which connections were closed.",
        connection_closed, value="lifetime", labels=("pool",), buckets=buckets.LIFETIME),
    counter("db_savepoints_total", "Savepoints released or rolled back to.",
        savepoint_ended, labels=("outcome",)),
)
# fmt: on
