"""Emit what SQLAlchemy engines do as the events of `events.database`; the only package here that knows SQLAlchemy.

::

    from events.bridges.sqlalchemy import instrument

    handle = instrument(engine, metadata=Base.metadata)

`instrument` puts the listeners on an engine. Behind it, one module a subject:

- `statements`: each statement that is executed, and each failure; `statement_info` says what a statement does and to
  which table, `table_labels` which tables are named, `fetch` times streamed rows
- `error_reasons`: why something failed; `error_codes` has the codes of every server and driver
- `transactions`: commits, rollbacks and savepoints
- `connections`: connections that are opened, checked out, released and closed; `connection_state` is stored on each
- `pool`: the wait for a connection
- `attribution`: which request, agent or workflow sent a query; `n_plus_one`: repeated queries and lazy loads
- `slow_query_log`: the log line of a slow statement
- `sql`: operation and table of any SQL text
- `internals`: SQLAlchemy's private attributes, tested on the installed version, each with a public alternative
"""

from .instrument import Instrumentation, instrument, is_instrumented
from .sql import describe

__all__ = ["Instrumentation", "describe", "instrument", "is_instrumented"]
