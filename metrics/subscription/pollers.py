"""Pollers: functions that read some state of the process before each render of a registry, and emit it as an event."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

from events.bus.failures import report_failure
from events.bus.receivers import callable_name

Poller = Callable[[], object]
"""Reads some state of the process and emits it as an event. It must be quick, and wait for no other process."""

SCRAPE = "scrape"
"""The value of the label ``signal`` where a poller fails: it was called for a scrape, not for an event."""


class Pollers(Collector):
    """A collector without families of its own that runs the pollers.

    It is the first collector of its registry, so every render of the registry, by any function, shows fresh values.
    """

    def __init__(self) -> None:
        self._pollers: tuple[Poller, ...] = ()

    def add(self, poller: Poller) -> Callable[[], None]:
        """Run a poller from now on; return a function that removes it."""
        entry: Poller = lambda: poller()  # noqa: E731, PLW0108 - its own identity: one poller may be added twice
        entry.__qualname__ = callable_name(poller)
        self._pollers += (entry,)

        def remove() -> None:
            self._pollers = tuple(other for other in self._pollers if other is not entry)

        return remove

    def run(self) -> None:
        """Run every poller once, in this thread; a failure is reported as a receiver's is, and stops nothing."""
        for poller in self._pollers:
            try:
                poller()
            except Exception as error:
                report_failure(SCRAPE, callable_name(poller), error)

    def describe(self) -> Iterable[Family]:
        """Return no family: a registry calls this when a collector is registered."""
        return ()

    def collect(self) -> Iterable[Family]:
        """Run the pollers, before the collectors behind this one are read, and return no family."""
        self.run()
        return ()
