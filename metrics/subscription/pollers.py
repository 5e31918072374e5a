"""The collector that runs pollers: before each render of its registry, those of the process and its subscription's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from weakref import WeakKeyDictionary, ref

from prometheus_client import CollectorRegistry
from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

from events.bus.pollers import Poller, note_scrape, run_pollers
from events.bus.receiver_inspection import callable_name

_last_of: WeakKeyDictionary[CollectorRegistry, ref[Pollers]] = WeakKeyDictionary()
"""The last one that was registered in each registry: once it has run, all of that scrape's have."""


class Pollers(Collector):
    """A collector without families of its own that runs the pollers.

    It is the first collector of its registry, so every render of the registry, by any function, shows fresh values.
    """

    never_fails = True
    """It is not announced as a collector that may fail: a poller's failure is a receiver's."""

    def __init__(self) -> None:
        self._pollers: tuple[Poller, ...] = ()
        self._registry: Callable[[], CollectorRegistry | None] = lambda: None  # it may go before this does

    def register(self, registry: CollectorRegistry) -> None:
        """Run before each render of a registry, and note the scrape."""
        registry.register(self)
        _last_of[registry] = ref(self)
        self._registry = ref(registry)

    def unregister(self) -> None:
        """Leave the registry; doing it again does nothing."""
        registry = self._registry()
        self._registry = lambda: None
        if registry is None:
            return
        if self._is_last(registry):
            _last_of.pop(registry, None)
        with suppress(KeyError):  # somebody unregistered it before
            registry.unregister(self)

    def _is_last(self, registry: CollectorRegistry) -> bool:
        last = _last_of.get(registry)
        return last is None or last() in {None, self}

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
        run_pollers(self._pollers)

    def describe(self) -> Iterable[Family]:
        """Return no family: a registry calls this when a collector is registered."""
        return ()

    def collect(self) -> Iterable[Family]:
        """Run the pollers, before the collectors behind this one are read, and return no family."""
        self.run()
        registry = self._registry()
        if registry is not None and self._is_last(registry):
            note_scrape()
        return ()
