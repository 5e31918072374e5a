"""The rows of the catalogue: each says which metric an event updates, and how. A row is checked when it is declared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from types import NoneType
from typing import Any, TypedDict, Unpack, get_args

from events import Span

from .alert_when import AlertWhen
from .event_fields import AnySignal, field_types, is_wanted, possible_values
from .validation import Kind, MultiprocessMode, row_errors

OTHER = "other"
"""The value of a label past its limit or outside its closed set."""

RESERVED = frozenset({"unknown", OTHER})
"""Values that every open label may take beside those that its limit counts."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One row: a metric and the event that updates it. Made by the functions below.

    ``labels`` names the event's fields that become labels, ``rename`` gives some of them another label name, and
    ``const_labels`` adds labels of one value. ``value`` names the field that is added, observed or set; without it
    each event counts 1. ``where`` holds the values that closed labels must have for the row to apply. Several rows may
    update one metric; they agree in everything but ``signal``, ``value``, ``where`` and the values of
    ``const_labels``.

    A counter's series of closed labels are initialized: they exist at 0 before the first event, so that `increase` sees
    it. ``initialize=False`` leaves that out, for labels most of whose combinations never occur, such as causes;
    ``initialize=True`` has them of a histogram too, where each costs all of its buckets. ``expected`` names values that
    are to be seen when they come first, as ``{"status_code": ("500",)}``: their series exist at 0 once the other
    labels' values are known. Of a closed label they are all that exist at 0; of a row that is not initialized they do
    once an event with the same other labels was counted.

    ``nested_in`` names labels whose values belong to another label's value, as the steps of a workflow do
    (``{"step": "workflow_type"}``): the limit of such a label counts pairs. A closed label may be nested too, where few
    of all pairs are possible: a route has not every method.

    ``default`` gives the value of a label where the event has None; without one, such an event is none of the row's.
    ``expires_after`` is for gauges with labels: a series goes once no event has set it for so many seconds.

    ``multiprocess_mode`` says what a gauge shows of several worker processes: ``livesum`` (the default), ``livemax``,
    ``livemin`` or ``livemostrecent`` of those that live, ``max`` or ``min`` of all there ever were.

    ``native_schema`` and ``native_max_buckets`` are for histograms, where exponential buckets are counted too: how fine
    they are, from -4 to 8 (3 has eight buckets between a value and its double), and how many of them a series may have
    before its resolution is halved.

    ``alert`` asks for an alert on the metric, which ``python -m metrics build`` writes with the others; it changes
    nothing of what is counted.
    """

    kind: Kind
    name: str
    help: str
    signal: AnySignal
    labels: tuple[str, ...] = ()
    value: str | None = None
    where: Mapping[str, object] = field(default_factory=dict)
    default: Mapping[str, str] = field(default_factory=dict)
    const_labels: Mapping[str, str] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()
    resumed: AnySignal | None = None
    finished: AnySignal | None = None
    released: AnySignal | None = None
    initialize: bool = True
    expected: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nested_in: Mapping[str, str] = field(default_factory=dict)
    multiprocess_mode: MultiprocessMode | None = None
    expires_after: float | None = None
    native_schema: int = 3
    native_max_buckets: int = 160
    alert: AlertWhen | None = None

    def __post_init__(self) -> None:
        if error := next(row_errors(self), None):
            raise TypeError(f"{self.name}: {error}")

    @cached_property
    def label_names(self) -> tuple[str, ...]:
        """The metric's label names."""
        return (*(self.rename.get(name, name) for name in self.labels), *self.const_labels)

    @cached_property
    def signals(self) -> tuple[AnySignal, ...]:
        """Every signal whose events update the row."""
        every = (self.signal, self.resumed, self.finished, self.released)
        return tuple(signal for signal in every if signal is not None)

    @cached_property
    def optional_labels(self) -> tuple[str, ...]:
        """The open labels that an event may lack, and that have no default; one that does is none of the row's."""
        fields = field_types(self.signal)
        closed = zip(self.labels, self.closed_label_values, strict=True)
        return tuple(
            name
            for name, values in closed
            if values is None and name not in self.default and NoneType in get_args(fields[name])
        )

    @cached_property
    def closed_label_values(self) -> tuple[tuple[str, ...] | None, ...]:
        """For each field in ``labels`` the closed set of its values, or None if it is an open label."""
        fields = field_types(self.signal)
        return tuple(possible_values(fields[name]) for name in self.labels)

    @cached_property
    def initial_label_values(self) -> tuple[tuple[str, ...] | None, ...]:
        """For each field in ``labels`` those of its closed set that exist at 0, or None if it is an open label."""
        labels = zip(self.labels, self.closed_label_values, strict=True)
        return tuple(
            None if values is None else self.expected.get(name, values if self.initialize else ())
            for name, values in labels
        )

    def takes(self, fields: Mapping[str, Any]) -> bool:
        """Return whether the row applies to an event with these fields, as far as they say."""
        return all(is_wanted(fields.get(name, value), value) for name, value in self.where.items())

    def label_sets(self) -> Iterator[tuple[str, frozenset[str] | None]]:
        """Yield each field in ``labels`` with the closed set of its values, None for an open label."""
        for name, values in zip(self.labels, self.closed_label_values, strict=True):
            yield name, None if values is None else frozenset(values)

    def most_series(self, label_limits: Mapping[str, int]) -> int:
        """Return how many time series the row can create at most: with every label at its limit."""
        sizes, extra = {}, {}  # extra: how many values a label takes past its limit
        for name, values in zip(self.labels, self.closed_label_values, strict=True):
            extra[name] = len(RESERVED) if values is None else 1
            sizes[name] = label_limits[name] + extra[name] if values is None else len({*values, OTHER})
        for name, outer in self.nested_in.items():
            sizes[name] = label_limits[name] + extra[name] * sizes.pop(outer)
        return prod(sizes.values()) * (len(self.buckets) + 3 if self.kind == "histogram" else 1)


class RowOptions(TypedDict, total=False):
    """The keywords that rows of every kind take; see `Metric`."""

    labels: tuple[str, ...]
    where: Mapping[str, object]
    default: Mapping[str, str]
    const_labels: Mapping[str, str]
    rename: Mapping[str, str]
    initialize: bool
    expected: Mapping[str, tuple[str, ...]]
    nested_in: Mapping[str, str]
    multiprocess_mode: MultiprocessMode | None
    expires_after: float | None
    alert: AlertWhen | None


def counter(
    name: str,
    help: str,  # noqa: A002  # Prometheus's word
    signal: AnySignal,
    *,
    value: str | None = None,
    **options: Unpack[RowOptions],
) -> Metric:
    """Return a row that counts events, or adds up their field ``value``; the name ends in ``_total``.

    Further options, each explained in `Metric`: ``labels``, ``where``, ``default``, ``const_labels``, ``rename``,
    ``initialize``, ``expected``, ``nested_in`` and ``alert``.
    """
    return Metric(kind="counter", name=name, help=help, signal=signal, value=value, **options)


def histogram(
    name: str,
    help: str,  # noqa: A002  # Prometheus's word
    signal: AnySignal,
    *,
    value: str,
    buckets: Iterable[float],
    native_schema: int = 3,
    native_max_buckets: int = 160,
    **options: Unpack[RowOptions],
) -> Metric:
    """Return a row that observes the field ``value`` of each event; an unknown value (None) is not observed.

    ``buckets`` are the upper bounds, ascending, without infinity; `metrics.buckets` has some. Its series begin with
    their first observation, unless ``initialize`` says otherwise. Further options, each explained in `Metric`:
    ``native_schema``, ``native_max_buckets``, ``labels``, ``where``, ``default``, ``const_labels``, ``rename``,
    ``initialize``, ``expected``, ``nested_in`` and ``alert``.
    """
    options.setdefault("initialize", False)
    bounds: Any = tuple(buckets) if isinstance(buckets, Iterable) else buckets  # if not, the row's check says so
    return Metric(
        kind="histogram",
        name=name,
        help=help,
        signal=signal,
        value=value,
        buckets=bounds,
        native_schema=native_schema,
        native_max_buckets=native_max_buckets,
        **options,
    )


def gauge(
    name: str,
    help: str,  # noqa: A002  # Prometheus's word
    signal: AnySignal,
    *,
    value: str,
    **options: Unpack[RowOptions],
) -> Metric:
    """Return a row that shows the field ``value`` of the last event.

    Further options, each explained in `Metric`: ``labels``, ``where``, ``default``, ``const_labels``, ``rename``,
    ``initialize``, ``expected``, ``nested_in``, ``multiprocess_mode``, ``expires_after`` and ``alert``.
    """
    return Metric(kind="gauge", name=name, help=help, signal=signal, value=value, **options)


def info(
    name: str,
    help: str,  # noqa: A002  # Prometheus's word
    signal: AnySignal,
    *,
    labels: tuple[str, ...],
    nested_in: Mapping[str, str],
    value: str | None = None,
    multiprocess_mode: MultiprocessMode = "max",
) -> Metric:
    """Return a row for a gauge that is 1 for each combination of labels of events; the name ends in ``_info``.

    ``value`` names a field that is 1, or None once the combination is gone: then its series is removed. Without it the
    series stays; with ``multiprocess_mode="livemax"`` for as long as a process lives that has it.
    """
    return Metric(
        kind="gauge",
        name=name,
        help=help,
        signal=signal,
        labels=labels,
        value=value,
        nested_in=nested_in,
        initialize=False,
        multiprocess_mode=multiprocess_mode,
    )


def in_flight(
    name: str,
    help: str,  # noqa: A002  # Prometheus's word
    span: Span[...],
    *,
    resumed: AnySignal | None = None,
    released: AnySignal | None = None,
    **options: Unpack[RowOptions],
) -> Metric:
    """Return a row for a gauge that shows how many spans are open: the size of a table of keys, not a sum of steps.

    ``resumed`` names a signal that opens one as well, such as a run taken up after its process died; ``released`` one
    that closes one as well, such as a run left to another process. Further options, each explained in `Metric`:
    ``labels``, ``where``, ``default``, ``const_labels``, ``rename``, ``initialize``, ``expected``, ``nested_in`` and
    ``alert``.
    """
    if not isinstance(span, Span):
        raise TypeError(f"{name}: in_flight takes a span, got {span!r:.60}: give what Span(started, finished) returned")
    return Metric(
        kind="in_flight",
        name=name,
        help=help,
        signal=span.started,
        resumed=resumed,
        finished=span.finished,
        released=released,
        **options,
    )
