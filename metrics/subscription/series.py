"""The time series of each metric family, created at zero as soon as their labels are known."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

from ..catalogue import GROUPS
from ..fastpath.children import prepare_children
from ..fastpath.native_buckets import NativeFamily, enable, native_family
from ..multiprocess import Workers
from ..rows import Metric
from .combined_gauge import CombinedGauge
from .expiry import Expiry
from .in_flight import InFlightTable
from .label_limits import LabelLimiter

SHARED_BY_ROWS = (
    "kind",
    "help",
    "labels",
    "label_names",
    "buckets",
    "native_schema",
    "native_max_buckets",
    "initialize",
    "expected",
    "nested_in",
    "multiprocess_mode",
    "expires_after",
)
"""What all rows of one name have to agree in."""


class HiddenUntilSet(Collector):
    """Shows a gauge without labels, which prometheus_client has at 0 from the start, only once it was set."""

    never_fails = True
    """It is not announced as a collector that may fail."""

    def __init__(self, gauge: Any) -> None:
        self.is_set = False
        self._gauge = gauge

    def describe(self) -> Iterable[Family]:
        """Return the family without samples, for the registry to know its name."""
        families: Iterable[Family] = self._gauge.describe()
        return families

    def collect(self) -> Iterable[Family]:
        """Return the gauge's family, without a sample until it was set."""
        families: Iterable[Family] = self._gauge.collect() if self.is_set else self._gauge.describe()
        return families


def is_of_catalogue(row: Metric) -> bool:
    """Return whether a row is one of the library's own."""
    return any(row is each for group in GROUPS.values() for each in group)


def advice_on_rows(first: Metric, second: Metric) -> str:
    """Return what to do about two rows that have one name and do not agree."""
    theirs = [*map(is_of_catalogue, (first, second))]
    if theirs.count(True) == 1:
        return f": one is the catalogue's, {(first if theirs[0] else second).help!r}; give yours another name"
    return ": give both the same, or one of them another name"


class FamilySeries:
    """One metric family: its prometheus_client collector, and the series of it that exist before their first event.

    ``collector`` is what events update. ``exported`` is what the registry holds: the same object, or with several
    worker processes a collector that shows the sum over all of them.
    """

    def __init__(
        self,
        row: Metric,
        full_name: str,
        limiter: LabelLimiter,
        workers: Workers | None = None,
        *,
        native_histograms: bool = False,
    ) -> None:
        self.name = full_name
        self.in_flight = InFlightTable()
        self.expiry = Expiry()
        self.combined = CombinedGauge(row.multiprocess_mode or "livesum", row.expires_after)
        self._row = row
        self.limiter = limiter
        self._const_label_values: list[tuple[str, ...]] = []
        self._known_label_values: dict[str, list[str]] = {}
        for label, values in zip(row.labels, row.closed_label_values, strict=True):
            if (values is None or label in row.nested_in) and label not in limiter.limits:
                raise ValueError(
                    f"{row.name}: label {label!r} has no limit; add it to subscribe(label_limits={{{label!r}: 10}}),"
                    " or to that of instrument(), with as many values as it may take: label_values alone sets no limit"
                )
        options: dict[str, Any] = {"buckets": row.buckets} if row.kind == "histogram" else {}
        native = NativeFamily(row.native_schema, row.native_max_buckets) if native_histograms and options else None
        kind: Any = {"counter": Counter, "histogram": Histogram}.get(row.kind, Gauge)
        if workers is None:
            self.collector = self.exported = kind(full_name, row.help, row.label_names, registry=None, **options)
            if native is not None:
                enable(self.collector, native)
        else:
            mode = "total" if row.kind in ("counter", "histogram") else row.multiprocess_mode or "livesum"
            self.collector, self.exported = workers.create_instruments(
                kind, full_name, row.help, row.label_names, mode, native=native, **options
            )
        prepare_children(self.collector)
        self.native = native_family(self.collector)
        if row.kind == "gauge" and not row.label_names:
            self.exported = HiddenUntilSet(self.exported)

    def show(self) -> None:
        """Show a gauge without labels from now on, as it was set."""
        if isinstance(self.exported, HiddenUntilSet):
            self.exported.is_set = True

    def add_row(self, row: Metric) -> None:
        """Add a row that updates this family; its series with closed labels exist from now on.

        Raises:
            ValueError: the row disagrees with the first one of its name.
        """
        for attribute in SHARED_BY_ROWS:
            if getattr(row, attribute) != getattr(self._row, attribute):
                raise ValueError(
                    f"{row.name}: two rows of this name differ in {attribute}{advice_on_rows(self._row, row)}"
                )
        self._const_label_values.append(tuple(row.const_labels.values()))
        self._initialize_known()

    def has_label(self, label: str) -> bool:
        """Return whether a field of the rows' events that is a label has this name."""
        return label in self._row.labels

    def initialize(self, label: str, value: str) -> None:
        """Create the series that a value of an open label can have, as far as the other labels' values are known."""
        if label in self._row.labels:
            self._known_label_values.setdefault(label, []).append(value)
            self._initialize_known()

    def initialize_siblings(self, label_values: list[str]) -> None:
        """Create the series of label values that just appeared: one for each combination of closed labels."""
        initial = zip(label_values, self._row.initial_label_values, strict=True)
        self._create([(value,) if values is None else values for value, values in initial])
        for label in self._row.expected:
            possible: list[tuple[str, ...]] = [(value,) for value in label_values]
            possible[self._row.labels.index(label)] = self._expected(label)
            self._create_all(possible)

    def _expected(self, label: str) -> tuple[str, ...]:
        """Return the values of a label that are expected, of an open one as far as it has room for them."""
        row = self._row
        values = row.expected.get(label, ())
        if row.closed_label_values[row.labels.index(label)] is not None:
            return values
        return tuple(value for value in values if self.limiter.admit(label, value) == value)

    def initialize_announced(self, label_values: dict[str, str]) -> None:
        """Create the series of these values of labels; of closed labels that are not among them all that exist at 0.

        A row that does not initialize the combinations of its closed labels has none then: no event is to be expected.
        """
        row = self._row
        if (
            row.kind == "gauge"
            or not row.labels
            or not (row.initialize or label_values.keys() | row.expected.keys() >= {*row.labels})
        ):
            return
        possible = [
            (label_values[label],) if label in label_values else self._expected(label) if values is None else values
            for label, values in zip(row.labels, row.initial_label_values, strict=True)
        ]
        self._create_all(possible)

    def child(self, row: Metric, label_values: list[str]) -> Any:
        """Return the child of a row's labels: ``label_values`` are those of its fields, in the order of ``labels``."""
        values = (*label_values, *row.const_labels.values())
        return self.collector.labels(*values) if values else self.collector

    def _initialize_known(self) -> None:
        known: list[tuple[str, ...]] = []
        for label, values in zip(self._row.labels, self._row.initial_label_values, strict=True):
            if values is not None:
                known.append(values)
            else:  # of a nested label it is not known which outer value a value belongs to
                known.append(() if label in self._row.nested_in else tuple(self._known_label_values.get(label, ())))
        self._create(known)

    def _create(self, possible: list[tuple[str, ...]]) -> None:
        # A gauge that nobody has set has no value, and 0 would be one.
        if self._row.initialize and self._row.label_names and self._row.kind != "gauge":
            self._create_all(possible)

    def _create_all(self, possible: Iterable[tuple[str, ...]]) -> None:
        for label_values, const_label_values in product(product(*possible), self._const_label_values):
            self.collector.labels(*label_values, *const_label_values)
