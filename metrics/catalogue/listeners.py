"""Rows of listeners that pass events on: what became of the events, and who follows them live."""

from __future__ import annotations

from events import feed_clients_read, listener_delivered

from ..rows import counter, gauge

LABEL_LIMITS = {"listener": 10}
"""How many values an open label takes, by its name."""

# fmt: off
LISTENERS = (
    counter("listener_events_total", "Events that listeners were to pass on, by what became of them.",
        listener_delivered, value="count", labels=("listener", "outcome")),
    gauge("live_feed_clients", "Clients that follow the live feed.",
        feed_clients_read, value="clients"),
)
# fmt: on
