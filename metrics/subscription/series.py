"""The time series of the instruments."""

from __future__ import annotations

from itertools import product
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from ..fastpath.lock import LOCK
from ..multiprocess import Workers
from ..rows import Metric
from .label_limits import Labels


class Instrument:
    """One prometheus_client object, complete at zero."""

    def __init__(self, row: Metric, full_name: str, labels: Labels, workers: Workers | None = None) -> None:
        self.name = full_name
        self.first = row
        self.table = InFlightTable()
        self.constants: list[tuple[str, ...]] = []
        self._labels = labels
        self._expected: dict[str, list[str]] = {}
        for label, values in zip(row.labels, row.closed_label_values, strict=True):
            if (values is None or label in row.nested_in) and label not in labels.limits:
                raise ValueError(f"{row.name}: label {label!r} has no limit; add it to subscribe(label_limits=...)")
        shape: dict[str, Any] = {"buckets": row.buckets} if row.kind == "histogram" else {}
        kind: Any = {"counter": Counter, "histogram": Histogram}.get(row.kind, Gauge)
        if workers is None:
            self.collector = self.shown = kind(full_name, row.help, row.label_names, registry=None, **shape)
        else:  # what this process moves, and the sum over all
            mode = "total" if row.kind in ("counter", "histogram") else row.multiprocess_mode or "livesum"
            self.collector, self.shown = workers.create_instruments(
                kind, full_name, row.help, row.label_names, mode, **shape
            )

    def add(self, row: Metric) -> None:
        """Take a row that moves this instrument; its series with closed labels exist from now on.

        Raises:
            ValueError: the row disagrees with the first one of its name.
        """
        for aspect in (
            "kind",
            "help",
            "labels",
            "label_names",
            "buckets",
            "initialize",
            "nested_in",
            "multiprocess_mode",
        ):
            if getattr(row, aspect) != getattr(self.first, aspect):
                raise ValueError(f"{row.name}: two rows of this name differ in {aspect}")
        self.constants.append(tuple(row.const_labels.values()))
        self._complete()

    def expect(self, label: str, value: str) -> None:
        """Make the series that an open label's value can have, as far as the other labels are known."""
        if label in self.first.labels:
            self._expected.setdefault(label, []).append(value)
            self._complete()

    def appear(self, texts: list[str]) -> None:
        """Make the series that go with values just learned: every closed combination beside them."""
        self._make([values or (text,) for text, values in zip(texts, self.first.closed_label_values, strict=True)])

    def child(self, row: Metric, texts: list[str]) -> Any:
        """One series of a row."""
        values = (*texts, *row.const_labels.values())
        return self.collector.labels(*values) if values else self.collector

    def _complete(self) -> None:
        self._make(
            [
                values
                if values is not None
                else ()
                if label in self.first.nested_in
                else tuple(self._expected.get(label, ()))
                for label, values in zip(self.first.labels, self.first.closed_label_values, strict=True)
            ]
        )

    def _make(self, choices: list[tuple[str, ...]]) -> None:
        if self.first.initialize and self.first.label_names:
            for texts, constants in product(product(*choices), self.constants):
                self.collector.labels(*texts, *constants)


class InFlightTable:
    """What is open now, by key: an in-flight gauge shows its size, so a lost or doubled end can't make it drift."""

    def __init__(self) -> None:
        self._open: dict[str, Any] = {}
        self._sizes: dict[Any, int] = {}

    def open(self, key: str, gauge: Any) -> None:
        """Put a key in, under the series that it counts for; one that is in already stays where it is."""
        with LOCK:  # the gauge's too, and reentrant: the garbage collector may end a span in here
            if key not in self._open:
                self._open[key] = gauge
                self._resize(gauge, 1)

    def close(self, key: str) -> None:
        """Take a key out; one that is not in was never seen to begin."""
        with LOCK:
            gauge = self._open.pop(key, None)
            if gauge is not None:
                self._resize(gauge, -1)

    def _resize(self, gauge: Any, step: int) -> None:
        self._sizes[gauge] = self._sizes.get(gauge, 0) + step
        size = None
        while size != self._sizes[gauge]:  # it was another one again if the garbage collector ended a span meanwhile
            size = self._sizes[gauge]
            gauge.set(size)
