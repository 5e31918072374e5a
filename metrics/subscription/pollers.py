"""Numbers that are read, not told: asked for just before a registry is rendered."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

from events.bus.failures import report_failure
from events.bus.receivers import callable_name

Poller = Callable[[], object]
"""Reads some state of the process and emits it as an event. It must be quick, and ask nobody outside the process."""

SCRAPE = "scrape"
"""What stands for the signal where a poller fails: it failed at nobody's event."""


class Pollers(Collector):
    """Runs the pollers and holds no family of its own.

    It is the first collector of its registry, so whoever renders that, by whatever means, finds fresh numbers.
    """

    def __init__(self) -> None:
        self._pollers: tuple[Poller, ...] = ()

    def add(self, poller: Poller) -> Callable[[], None]:
        """Run a poller from now on; the answer takes it out again."""
        entry: Poller = lambda: poller()  # noqa: E731, PLW0108 - its own identity: one poller may be added twice
        entry.__qualname__ = callable_name(poller)
        self._pollers += (entry,)

        def remove() -> None:
            self._pollers = tuple(other for other in self._pollers if other is not entry)

        return remove

    def run(self) -> None:
        """Run every poller once, in this thread; one that fails is told as a receiver and stops nothing."""
        for poller in self._pollers:
            try:
                poller()
            except Exception as error:
                report_failure(SCRAPE, callable_name(poller), error)

    def describe(self) -> Iterable[Family]:
        """Name no family: a registry asks this when it takes a collector in."""
        return ()

    def collect(self) -> Iterable[Family]:
        """Run the pollers before the instruments behind this one are read."""
        self.run()
        return ()
