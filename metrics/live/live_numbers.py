"""The live numbers of an application: its tiles and charts, its map of events, and what is wrong with its numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from threading import Lock
from time import monotonic, time
from types import TracebackType
from typing import Any, Self

from prometheus_client import CollectorRegistry

from events.bus.receiver_inspection import callable_name
from events.pipeline import SetupFault

from ..kit.placeholders import Names
from ..subscription.subscribe import Subscription
from .expressions import Latest
from .findings import READ, find_faults
from .flow_map import FlowMap, Listener, ListenerKind, connected_listeners, count_series, kind_of
from .history import History
from .increases import Numbers
from .sampler import RESTING, WATCHED, Sampler
from .snapshot import Snapshot, SnapshotReader, report_failure
from .tiles import Chart, Tile

SIGNALS = Latest("events_total", by="signal")
COMPONENTS = Latest("component_up", by="component", how="min")
FAILURES = (Latest("receiver_failures_total", by="receiver"), Latest("events_dropped_total", by="receiver"))
LOST = Latest("listener_events_total", 'outcome=~"failed|dropped|dead_letter"', by="listener")
STARTED = Latest("process_start_time_seconds", how="min")
PROCESSES, SLOTS = Latest("workers"), Latest("workflow_slots")
VERSION, REVISION = (Latest("build_info", by=label, how="max") for label in ("version", "revision"))
FACTS = (SIGNALS, COMPONENTS, *FAILURES, LOST, STARTED, PROCESSES, SLOTS, VERSION, REVISION)


class LiveNumbers:
    """Reads a registry in a thread of its own while it is entered; the numbers are those of the last reading.

    Args:
        registry: The registry; of several workers it has the sums.
        subscription: What feeds it.
        names: The namespace and the scrape job, for the PromQL.
        tiles: The tiles.
        charts: The charts.
        advice: What to do about faults of the set-up, in the application's own words.
        name_of: Returns the name of a receiver on the map.
        kind_of: Returns how a receiver is called.
        resting: Seconds between two readings while nobody watches.
        watched: Seconds between two readings while somebody does.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        subscription: Subscription,
        *,
        names: Names,
        tiles: Sequence[Tile],
        charts: Sequence[Chart],
        advice: Mapping[SetupFault, str] | None = None,
        name_of: Callable[[Any], str] = callable_name,
        kind_of: Callable[[Any], ListenerKind] = kind_of,
        resting: float = RESTING,
        watched: float = WATCHED,
    ) -> None:
        self._names = names
        self._tiles, self._charts = tuple(tiles), tuple(charts)
        self._advice = advice or {}
        self._listeners = partial(connected_listeners, name_of, kind_of)
        rows: tuple[Tile, ...] = (*self._tiles, *self._charts)
        if repeated := next((row.id for row in rows if sum(row.id == other.id for other in rows) > 1), None):
            raise ValueError(f"two tiles or charts have the id {repeated!r}")
        self._rows = rows
        self._spans = {each.span for row in rows for each in row.shows.values()}
        read = [*READ, *(source for row in rows for source in row.sources)]
        sources = [*read, *(source for fact in FACTS for source in fact.sources)]
        self._reader = SnapshotReader(registry, subscription.namespace, sources)
        self._families = [f"{subscription.namespace}_{name}" for name in {row.name: None for row in subscription.rows}]
        self._map = FlowMap(subscription.rows, subscription.namespace, subscription.label_limits)
        self._history = History()
        self._seen: dict[str, dict[str, float]] = {}
        self._lock = Lock()
        self._sampler = Sampler(self.sample, resting=resting, watched=watched)
        self._snapshot: Snapshot | None = None
        self._current: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._sampler.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sampler.__exit__(kind, error, trace)

    @contextmanager
    def watch(self) -> Generator[None]:
        """Read every second while the block runs."""
        with self._sampler.watch():
            yield

    def current(self) -> dict[str, Any]:
        """Return the numbers as they were read last: ready made, so it may be called on an event loop."""
        return self._current

    def page(self) -> dict[str, Any]:
        """Return all that a page needs once: what there is, its last minutes, the map and the faults.

        The registry is read again if it was not in the last second. It takes some milliseconds, so call it in a thread.
        """
        if self._snapshot is None or monotonic() - self._snapshot.at > WATCHED:
            self.sample()
        with self._lock:
            snapshot, current, history = self._snapshot, self._current, self._history.describe()
        assert snapshot is not None  # noqa: S101  # it was read above
        listeners = self._listeners()
        drawn = self._map.describe(
            listeners,
            counts=current["signals"],
            series=current["series"],
            failures=self._failures(snapshot, listeners),
        )
        return {
            "server": self._server(snapshot),
            **self._described,
            "history": history,
            "map": drawn,
            "pipeline": find_faults(snapshot, self._advice),
        }

    @cached_property
    def _described(self) -> dict[str, Any]:
        rows = {"tiles": self._tiles, "charts": self._charts}
        return {name: [each.describe(self._names) for each in every] for name, every in rows.items()}

    def sample(self) -> None:
        """Read the registry, and keep what it says; called in a thread of its own while this is entered."""
        with self._lock:
            snapshot = self._reader.read()
            before = {span: self._history.before(snapshot, span) for span in self._spans}
            values = {row.id: self._values(row, before, snapshot) for row in self._rows}
            self._history.add(snapshot, values)
            started = latest(STARTED, snapshot)
            self._snapshot, self._current = (
                snapshot,
                {
                    "time": round(snapshot.time, 3),
                    "values": values,
                    "signals": whole_numbers(SIGNALS.values(snapshot, snapshot)),
                    "series": count_series(self._reader.collectors, self._families),
                    "failures": self._failures(snapshot, self._listeners()),
                    "components": {
                        name: bool(up) for name, up in COMPONENTS.values(snapshot, snapshot).items() if up is not None
                    },
                    "uptime": None if started is None else round(max(time() - started, 0.0), 1),
                },
            )

    def _values(self, row: Tile, before: Mapping[float, Snapshot], after: Snapshot) -> Numbers:
        """Return the values of a row, with None for each series that there was and is not now, or all if it fails."""
        at, seen = after.at, self._seen.setdefault(row.id, {})
        numbers: Numbers = {}
        try:
            numbers = row.values(before, after)
        except Exception as error:  # the other rows go on
            report_failure(row.id, error)
        seen.update(dict.fromkeys(numbers, at))
        for series in [each for each, last in seen.items() if last < at - self._history.keep]:
            del seen[series]
        return {series: shortened(numbers.get(series)) for series in seen}

    def _failures(self, snapshot: Snapshot, listeners: Iterable[Listener]) -> dict[str, int]:
        """Return how often each listener failed, and how many events it lost."""
        by_receiver = [each.values(snapshot, snapshot) for each in FAILURES]
        lost = LOST.values(snapshot, snapshot)
        return {
            each.name: int(
                sum(found.get(receiver) or 0 for found in by_receiver for receiver in each.receivers)
                + (lost.get(each.name) or 0)
            )
            for each in listeners
        }

    def _server(self, snapshot: Snapshot) -> dict[str, Any]:
        slots = latest(SLOTS, snapshot)
        return {
            "version": next(iter(VERSION.values(snapshot, snapshot)), "unknown"),
            "revision": next(iter(REVISION.values(snapshot, snapshot)), "unknown"),
            "started_at": latest(STARTED, snapshot),
            "processes": int(latest(PROCESSES, snapshot) or 1),
            "slots": None if slots is None else int(slots),
        }


def latest(expression: Latest, snapshot: Snapshot) -> float | None:
    """Return the one value of an expression that is not parted by a label."""
    return next(iter(expression.values(snapshot, snapshot).values()), None)


def whole_numbers(numbers: Numbers) -> dict[str, int]:
    """Return counts as integers, without those that are not known."""
    return {name: int(value) for name, value in numbers.items() if value is not None}


def shortened(value: float | None) -> float | None:
    """Return a value in seven digits, a whole number as it is; None where it is no number, as JSON has none such."""
    if value is None or not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < 2**53 else float(f"{value:.7g}")
