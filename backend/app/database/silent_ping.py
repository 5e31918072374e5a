"""The check of a pooled connection to PostgreSQL before it is used, by its socket: it costs no statement.

A server that ends a connection says why and closes its socket; for one that is killed, and for one whose host does not
answer keepalives, the kernel does. A connection on whose socket nothing has come is as good as a ping can say.
"""

from __future__ import annotations

import select
from typing import Any

import psycopg
from sqlalchemy import Dialect


def ping_where_something_came(dialect: Dialect) -> None:
    """Have the pre-ping of an engine's pool send its statement only on connections on which something has come.

    Args:
        dialect: The dialect of one engine with psycopg. Its `do_ping` is SQLAlchemy's public method for this.
    """
    ping = dialect.do_ping

    def do_ping(dbapi_connection: Any) -> bool:
        return _is_silent(dbapi_connection) or ping(dbapi_connection)

    dialect.do_ping = do_ping  # type: ignore[method-assign]  # of this engine alone


def _is_silent(dbapi_connection: Any) -> bool:
    """Return whether nothing has come on a connection since its last answer; False for one that is closed."""
    connection = getattr(dbapi_connection, "driver_connection", dbapi_connection)
    try:
        descriptor = connection.fileno()
    except psycopg.Error:
        return False
    # Not select.select, which takes no descriptor from 1024 on.
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return not poll.poll(0)
