"""`Workers`: the processes that share a folder, seen from one of them."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from math import inf
from pathlib import Path
from threading import Event, Thread
from typing import Any
from weakref import WeakSet

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

from events import worker_folder_read
from events.bus.failures import error_location
from events.bus.log_throttle import LogThrottle
from events.bus.pollers import note_scrape

from ..fastpath import children
from ..fastpath.native_buckets import NativeFamily, enable
from . import archive
from .aggregate import Aggregator
from .exponential_cells import TotalCounts, shared
from .exponential_schema import exponential_schema
from .fault_reports import emit_file_fault, report_file_fault, report_total_failure
from .file_layout import MAX_CELLS, AggregationMode, FamilySchema
from .scrape_notice import ScrapeNotice
from .shared_file import SharedFile

log = logging.getLogger("metrics")
_throttle = LogThrottle()

REFRESH_INTERVAL = 1.0
"""Seconds between two readings of a process's own figures, for the scrapes that other workers answer."""


_every: WeakSet[Workers] = WeakSet()
"""Those of this process: one for each registry."""


class Workers(Collector):
    """The processes that share a folder, as one of them sees them.

    Every instrument exists twice: a *local* one, which this process updates and whose values are in its file, and a
    *total*, which the registry shows and which is set to the sum of all files just before each scrape. So every worker
    gives the same answer to a scrape.

    A process that cannot use the folder, or loses it, counts alone: it shows its own numbers, and logs the folder and
    what to do about it. No trouble with the folder raises an error.

    Args:
        folder: Where the workers' files are; created if it does not exist.
        capacity: How many numbers this process's file holds at most; values past it are not shared.
        application: Whose workers these are: those of other applications in the same folder are left alone. By default
            it is the namespace of the first subscription.

    Raises:
        TypeError: the folder is no path.
        ValueError: the folder is an empty text, or the application's name has other characters than letters, digits and
            ``_:.-``, or over 100.
    """

    def __init__(self, folder: str | Path, capacity: int = MAX_CELLS, *, application: str = "") -> None:
        if not isinstance(folder, (str, os.PathLike)):
            raise TypeError(f"folder is a path, such as Path('/run/acme'), not {folder!r:.60}")
        if isinstance(folder, str) and not folder.strip():
            raise ValueError(
                f"folder={folder!r} would be the current directory: name a folder, or make no Workers without one"
            )
        if application and not re.fullmatch(r"[\w:.-]{1,100}", application, re.ASCII):
            raise ValueError(f"application={application!r}: write up to 100 letters, digits and _ : . - in it")
        self._file = SharedFile(Path(folder), capacity, emit_file_fault, application)  # it logs by itself
        self.folder = self._file.folder
        self._aggregator = Aggregator(self._file, report_file_fault)
        self._registry: CollectorRegistry | None = None
        self._scrapes = ScrapeNotice(self.folder)
        self._readings: list[Callable[[], object]] = []
        self._emitted: tuple[int, bool] | None = None
        _every.add(self)
        self._archive_dead()

    @property
    def counts_alone(self) -> bool:
        """Whether this process can have no file in the folder now, so that its numbers are shown by nobody else."""
        return self._file.path is None

    def create_instruments(
        self,
        kind: type[Any],
        name: str,
        documentation: str,
        labels: Iterable[str],
        mode: AggregationMode,
        *,
        native: NativeFamily | None = None,
        **options: Any,
    ) -> tuple[Any, Any]:
        """Create a metric: return the local instrument, to update, and the total, to register.

        Args:
            kind: prometheus_client's ``Counter``, ``Gauge`` or ``Histogram``.
            name: The name of the family.
            documentation: The help text.
            labels: The names of the labels.
            mode: How the values are aggregated over processes.
            native: How exponential buckets are made, of a histogram that counts in these too.
            options: Further arguments of the class, as ``buckets``.

        Raises:
            ValueError: the mode is none of those that there are, or prometheus_client refuses the name or a label.
        """
        labels = tuple(labels)
        if kind is Histogram:
            options.setdefault("buckets", Histogram.DEFAULT_BUCKETS)
        bounds = tuple(float(bound) for bound in options.get("buckets", ()) if bound != inf)
        schema = FamilySchema(name, kind.__name__.lower(), mode, labels, bounds)  # type: ignore[arg-type]  # one of the three

        def on_created(child: Any) -> None:
            children.replace_values(child, self._file.add_series(schema, children.label_values_of(child)))

        def on_removed(label_values: tuple[str, ...]) -> None:
            self._file.remove_series(schema, label_values)

        total = children.TOTALS.get(kind, kind)(name, documentation, labels, registry=None, **options)
        self._file.add_family(schema)
        self._aggregator.add_instrument(schema, total)
        local = children.watched_class(kind, on_created, on_removed)(
            name, documentation, labels, registry=None, **options
        )
        if native is not None:
            exponential = exponential_schema(schema)
            self._file.add_family(exponential)
            self._aggregator.add_instrument(exponential, TotalCounts(total))
            enable(local, shared(native, self._file, exponential))
            enable(total, native)
        return local, total

    def attach(self, registry: CollectorRegistry, application: str = "") -> None:
        """Compute the totals before each scrape of this registry; attaching to it again does nothing.

        Families that were registered before this call are read before the totals are computed. ``application`` says
        whose workers these are, where nobody has said so before.

        Raises:
            ValueError: these workers are attached to another registry.
        """
        if self._registry is None:
            self._registry = registry
            registry.register(self)
        elif self._registry is not registry:
            raise ValueError("these workers are attached to another registry: create other Workers for this one")
        if application and not self._file.application:
            self._file.set_application(re.sub(r"[^\w:.-]", "_", application, flags=re.ASCII)[:100])
            self._archive_dead()

    def every_second(self, read: Callable[[], object]) -> Callable[[], None]:
        """Call ``read()`` every second (inside `refreshing`) and before each scrape; return how to end this."""
        self._readings.append(read)
        self._emitted = None
        return lambda: self._readings.remove(read)

    @contextmanager
    def refreshing(self) -> Generator[None]:
        """Call the functions of `every_second` while the block runs, in a thread of its own."""
        ended = Event()

        def run() -> None:
            self.read_own_values()
            while not ended.wait(REFRESH_INTERVAL):
                if self._scrapes.was_marked(self._file.application):
                    note_scrape()
                self.read_own_values()

        thread = Thread(target=run, name="metrics of this worker", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def read_own_values(self) -> None:
        """Call the functions of `every_second` now; one that raises is logged at most once a minute."""
        self._file.check()
        self._emit_state()
        for read in tuple(self._readings):
            try:
                read()
            except Exception as error:
                location = error_location(error)
                if _throttle.is_due(location):
                    log.warning("a number of this worker cannot be read: %s at %s", type(error).__name__, location)

    def _emit_state(self) -> None:
        """Emit whether this process counts alone, where that is news: to a new process, or to a new subscription."""
        alone = any(workers.counts_alone for workers in tuple(_every))
        if self._emitted != (os.getpid(), alone):
            self._emitted = os.getpid(), alone
            worker_folder_read.emit(alone=int(alone))

    def refresh(self) -> None:
        """Set the totals to the sums of what all workers have in their files; a failure leaves them as they were."""
        try:
            self._aggregator.refresh()
        except Exception as error:
            report_total_failure("Workers", error)

    def close(self) -> None:
        """Leave the workers: they keep what was counted here, and drop this process's gauges.

        Doing it again does nothing.
        """
        _every.discard(self)
        self._aggregator.close()
        self._file.close()
        if self._registry is not None:
            with suppress(KeyError):
                self._registry.unregister(self)

    def _archive_dead(self) -> None:
        if self._file.path is not None:
            archive.archive_dead(self.folder, report_file_fault, self._file.application)

    def describe(self) -> Iterable[Family]:
        """Return no family; without this a registry would call `collect` to learn the names."""
        return ()

    def collect(self) -> Iterable[Family]:
        """Set the totals, before the families that are registered after this collector are read; return no family."""
        self.read_own_values()
        self.refresh()
        note_scrape()
        if self._file.path is not None:
            self._scrapes.mark(self._file.application)
        return ()
