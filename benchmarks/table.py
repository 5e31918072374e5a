"""The rows of the table of claims.

A row is a module of this package with ``measure(short: bool) -> list[Claim]``. It runs in a process of its own, so it
may leave that as it likes. In the short form it takes a few seconds; the figure is a ratio wherever that can be, since
machines differ.
"""

from __future__ import annotations

# fmt: off
ROWS = (
    "http_request",    # what counting costs a request
    "emit",            # an event, without receivers and with the catalogue
    "rendering",       # writing 100,000 samples
    "event_loop_lag",  # what an event loop feels of that
    "memory",          # what is kept for it
    "database",        # what watching a database costs
    "workers",         # several processes: a scrape and an update
)
# fmt: on
