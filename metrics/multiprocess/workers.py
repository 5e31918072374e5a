"""The workers that share a folder, seen from one of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from math import inf
from pathlib import Path
from threading import Event, Thread
from typing import Any

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

from events import worker_file_faulty
from events.bus.failures import error_location
from events.pipeline import WorkerFileFault
from metrics.fastpath import children

from . import archive
from .aggregate import Aggregator
from .file_layout import MAX_CELLS, AggregationMode, FamilySchema
from .shared_file import SharedFile

log = logging.getLogger("metrics")

REFRESH_INTERVAL = (
    1.0  # seconds between two looks at what a process reads of itself, for the scrapes that others answer
)


class Workers(Collector):
    """The processes that share a folder, as one of them sees them.

    Every instrument exists twice: one that this process moves, whose numbers stand in its file, and one that the
    registry shows, set to the sum of all files just before it is written. So whichever worker answers says the same.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path, cells: int = MAX_CELLS) -> None:
        self.folder = folder
        self._file = SharedFile(folder, cells, emit_file_fault)
        self._sums = Aggregator(folder, self._file, emit_file_fault)
        self._registry: CollectorRegistry | None = None
        self._regular: list[Callable[[], object]] = []
        archive.archive_dead(folder, emit_file_fault)

    def create_instruments(
        self, kind: type[Any], name: str, text: str, labels: Iterable[str], mode: AggregationMode, **more: Any
    ) -> tuple[Any, Any]:
        """Make an instrument: the one to move, and the one to show."""
        labels = tuple(labels)
        if kind is Histogram:
            more.setdefault("buckets", Histogram.DEFAULT_BUCKETS)
        bounds = tuple(float(bound) for bound in more.get("buckets", ()) if bound != inf)
        shape = FamilySchema(name, kind.__name__.lower(), mode, labels, bounds)  # type: ignore[arg-type]  # one of the three

        def adopt(child: Any) -> None:
            children.replace_values(child, self._file.take(shape, children.label_values_of(child)))

        def drop(values: tuple[str, ...]) -> None:
            self._file.drop(shape, values)

        shown = kind(name, text, labels, registry=None, **more)
        self._sums.show(shape, shown)
        return children.watched_class(kind, adopt, drop)(name, text, labels, registry=None, **more), shown

    def attach(self, registry: CollectorRegistry) -> None:
        """Add up whenever this registry is written; what is registered before is read before. Again is nothing.

        Raises:
            ValueError: another registry shows these workers.
        """
        if self._registry is None:
            self._registry = registry
            registry.register(self)
        elif self._registry is not registry:
            raise ValueError("these workers are shown by another registry: make others for this one")

    def every_second(self, read: Callable[[], object]) -> Callable[[], None]:
        """Call ``read()`` every second and before each sum; the answer ends it."""
        self._regular.append(read)
        return lambda: self._regular.remove(read)

    @contextmanager
    def refreshing(self) -> Generator[None]:
        """Keep what this process reads of itself fresh for the others while the block runs."""
        ended = Event()

        def run() -> None:
            self.read_own_values()
            while not ended.wait(REFRESH_INTERVAL):
                self.read_own_values()

        thread = Thread(target=run, name="metrics of this worker", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def read_own_values(self) -> None:
        """Read what this process reads of itself, now."""
        for read in tuple(self._regular):
            try:
                read()
            except Exception as error:
                log.warning(
                    "a number of this worker cannot be read: %s at %s", type(error).__name__, error_location(error)
                )

    def close(self) -> None:
        """Leave: the others keep what was counted here and forget the gauges."""
        self._sums.close()
        self._file.close()
        if self._registry is not None:
            with suppress(KeyError):
                self._registry.unregister(self)

    def describe(self) -> Iterable[Family]:
        """Name no family: a registry asks this when it takes a collector in."""
        return ()

    def collect(self) -> Iterable[Family]:
        """Set what is shown to the sums, before the families behind this one are read."""
        self.read_own_values()
        self._sums.refresh()
        return ()


def emit_file_fault(fault: WorkerFileFault) -> None:
    """Tell of a file that cannot be used."""
    worker_file_faulty.emit(fault=fault)
