"""Whatever SQLAlchemy engines do, told as the events of `events.database`; the only package here that knows SQLAlchemy.

>>> from events.bridges.sqlalchemy import instrument
>>> handle = instrument(engine, metadata=Base.metadata)  # doctest: +SKIP

`engine` puts listeners on an engine: `statements` tells what is sent, with what `meanings` makes of it, `streams` what
is fetched late, `transactions` how they end, `connections` and `pools` what happens to connections, `askers` who asked.
`sql` reads SQL.
"""

from .instrument import Instrumentation, instrument
from .sql import describe

__all__ = ["Instrumentation", "describe", "instrument"]
