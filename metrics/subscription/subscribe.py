"""Subscribes rows of the catalogue to the signals of `events`: registers their metrics and connects receivers."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Self
from weakref import WeakKeyDictionary, WeakSet, finalize

from blinker import default_namespace
from prometheus_client import CollectorRegistry

from events.bus.announcements import add_announcer, run_announcers
from events.bus.pollers import Poller
from events.bus.signal import Signal

from ..catalogue import LABEL_LIMITS, PIPELINE, PRESET_LABEL_VALUES, RARE_SIGNALS, every_signal
from ..event_fields import AnySignal
from ..multiprocess import Workers
from ..rows import Metric
from .application_receiver import ApplicationReceiver
from .connected import ConnectedReceivers, disconnect, emit_overflows, end, set_exemplars
from .exemplar_updates import FindExemplar
from .filling_labels import FillingLabels
from .label_limits import LabelLimiter
from .named_rows import named_rows
from .ownership import own_signals
from .pollers import Pollers
from .receiver import MetricsReceiver
from .series import FamilySeries, is_of_catalogue


def subscribe(
    catalogue: Iterable[Metric | str],
    registry: CollectorRegistry,
    *,
    namespace: str,
    label_values: Mapping[str, Iterable[str]] | None = None,
    label_limits: Mapping[str, int] | None = None,
    shared_labels: Iterable[str] = (),
    workers: Workers | None = None,
    application: str = "",
    native_histograms: bool = False,
) -> Subscription:
    """Register the metrics of some rows in a registry and update them with every event from now on.

    It ends with `Subscription.close`, or when neither the subscription nor the registry is referred to any more, since
    nobody can read its numbers then. With ``workers``, whose numbers other processes read, it ends with `close` alone.

    Args:
        catalogue: The rows, such as `metrics.CATALOGUE`, or one of its groups, such as `metrics.LLM`; names of groups
            too, as in ``("http", "llm", *ROWS)``. With a name in it the pipeline's own health is always in: the rows of
            `metrics.PIPELINE`, unless another subscription to the registry has them.
        registry: Where the metrics are registered; never the global one by default.
        namespace: The first word of every metric's name, such as ``acme``; never empty.
        label_values: Values of open labels that are known beforehand, by label; their series exist at zero at once.
            A label is one of the rows, or of `metrics.LABEL_LIMITS` whichever of its groups are subscribed.
        label_limits: How many values an open label takes, by label, where `metrics.LABEL_LIMITS` does not suit. It may
            name labels that none of these rows has, so that one mapping serves every subscription.
        shared_labels: Labels of the application's own events whose values are those of the catalogue's label of that
            name, such as ``model``: past its limit they are ``other`` together. Any other label of its own events has a
            table of its own, with as many values as the catalogue's of that name where ``label_limits`` says nothing.
        workers: The processes whose values the registry shows as one; this process alone by default.
        application: Whose requests and websockets to count, by the name that its ``HTTPEventsMiddleware(application=)``
            has; those of the whole process by default. Other events, such as statements, say no application.
        native_histograms: Whether histograms count in exponential buckets too, which scrapers that ask for Protocol
            Buffers get beside the classic ones: docs/native-histograms.md.

    Raises:
        TypeError: the catalogue is no iterable, or holds something else than rows and names, the registry is none, or
            the values of a label are one text.
        ValueError: there is no group of a name, a row is there twice, rows of one name do not agree, an open label has
            no limit or a negative one, ``label_values`` or ``shared_labels`` names a label that there is not, a known
            value cannot be shown, the namespace cannot begin a metric's name, or the registry holds a metric of the
            same name already.
    """
    if not isinstance(registry, CollectorRegistry):
        raise TypeError(
            f"registry is a CollectorRegistry of prometheus_client, such as CollectorRegistry(), not {registry!r:.60}"
        )
    check_known_values(label_values or {})
    others = _subscriptions.get(registry, ())
    has_pipeline = any(PIPELINE[0] in other.rows and other.namespace == namespace for other in others)
    rows = named_rows(catalogue, with_pipeline=not has_pipeline)
    if unknown := sorted({*shared_labels} - LABEL_LIMITS.keys()):
        raise ValueError(f"shared_labels: the catalogue has no open label {unknown[0]!r}")
    if repeated := next((row for row, earlier in with_earlier_of_name(rows) if row in earlier), None):
        raise ValueError(f"{repeated.name}: a row is there twice, so each event would count twice; leave one out")
    for label, limit in (label_limits or {}).items():
        if type(limit) is not int or limit < 0:  # nor True, which is a whole number too
            raise ValueError(f"label_limits: a label takes a whole number of values, got {limit!r} for {label!r}")
    if not isinstance(namespace, str) or not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", namespace):
        raise ValueError(
            f"namespace {namespace!r} can't begin a metric's name: it takes letters, digits and underscores, such as"
            " 'acme', and begins with no digit"
        )
    for row in rows:
        if row.name.startswith(f"{namespace}_") and not is_of_catalogue(row):
            log.warning(DOUBLED_NAMESPACE, row.name, namespace, row.name)
    return Subscription(
        rows,
        registry,
        namespace,
        {**LABEL_LIMITS, **(label_limits or {})},
        label_values or {},
        shared_labels=frozenset(shared_labels),
        workers=workers,
        application=application,
        native_histograms=native_histograms,
    )


DOUBLED_NAMESPACE = "%s is served as %s_%s: leave the namespace out of the name of a row, it is put before each"
log = logging.getLogger("metrics")

_subscriptions: WeakKeyDictionary[CollectorRegistry, WeakSet[Subscription]] = WeakKeyDictionary()
"""Those of each registry that are not closed."""


class Subscription:
    """Registered metrics and the receivers that update them; `close` undoes both.

    Attributes:
        rows: The rows.
        namespace: The first word of the metrics' names.
    """

    def __init__(
        self,
        rows: tuple[Metric, ...],
        registry: CollectorRegistry,
        namespace: str,
        label_limits: Mapping[str, int],
        label_values: Mapping[str, Iterable[str]],
        *,
        shared_labels: frozenset[str],
        workers: Workers | None,
        application: str,
        native_histograms: bool,
    ) -> None:
        self.rows = rows
        self.namespace = namespace
        self._registry = registry
        self._application = application
        self._native_histograms = native_histograms
        self._receivers: ConnectedReceivers = []
        self._limiter = LabelLimiter(label_limits)
        self._own_limiter = LabelLimiter(label_limits, shared_labels, self._limiter)
        self._own_signals = own_signals(rows)
        self._open_labels = frozenset(
            name
            for row in rows
            for name, values in zip(row.labels, row.closed_label_values, strict=True)
            if values is None
        )
        self._families: dict[str, FamilySeries] = {}
        self._pollers = Pollers()
        self._workers = workers
        self._stop_polling: Callable[[], None] = lambda: None
        self._stop_announcing: Callable[[], None] = lambda: None
        try:
            if workers is None:
                self._pollers.register(registry)  # before the metrics that they update
            else:
                workers.attach(registry, f"{namespace}-{application}" if application else namespace)
                # For the scrapes that other workers answer.
                self._stop_polling = workers.every_second(self._pollers.run)
            for row in rows:
                self._add(row, namespace)
            for label, values in PRESET_LABEL_VALUES.items():
                self._initialize(self._limiter, label, values)
            self.initialize(**label_values)
            self._connect(rows)
            # Neither of them refers to the registry, which is kept alive by nothing that it holds.
            self._pollers.add(partial(emit_overflows, self._receivers))
            filling = FillingLabels(self._labels_with_limits(rows))
            filling.announce()  # before those of other subscriptions, should the labels not have room for all
            self._stop_announcing = add_announcer(filling.announce)
            self._pollers.add(filling.announce_new)
            run_announcers()
        except BaseException:
            self.close()
            raise
        _subscriptions.setdefault(registry, WeakSet()).add(self)
        if workers is None:
            finalize(registry, end, self._receivers, self._stop_announcing).atexit = False

    @property
    def label_limits(self) -> Mapping[str, int]:
        """How many values each open label takes."""
        return self._limiter.limits

    def collector(self, name: str) -> Any:
        """Return the prometheus_client object that a row updates, by the row's name.

        Raises:
            KeyError: no row has the name.
        """
        return self._families[name].collector

    def initialize(self, **label_values: Iterable[str]) -> None:
        """Create the series of values of open labels that are to come, so that they exist at zero.

        Raises:
            TypeError: the values of a label are one text.
            ValueError: there is no such open label, a value cannot be shown, or there are more than the label's limit.
        """
        check_known_values(label_values)
        known = self._open_labels | LABEL_LIMITS.keys()
        if unknown := sorted(label_values.keys() - known):
            raise ValueError(f"there is no open label {unknown[0]!r}; there are {', '.join(sorted(known))}")
        for label, values in label_values.items():
            texts = tuple(values)
            for limiter in (self._limiter, self._own_limiter):
                self._initialize(limiter, label, texts)

    def _initialize(self, limiter: LabelLimiter, label: str, values: Iterable[str]) -> None:
        families = [family for family in self._families.values() if family.limiter is limiter]
        if limiter is self._own_limiter and not any(family.has_label(label) for family in families):
            return
        for value in limiter.admit_all(label, values):
            for family in families:
                family.initialize(label, value)

    def poll(self, poller: Poller) -> Callable[[], None]:
        """Call ``poller()`` before every render of the registry: it reads some state and emits it as an event.

        It runs in the thread that renders, so it must be quick and wait for nothing; what it raises becomes
        `receiver_failed` and stops no render. Return a function that removes it. What bridges have to read is read by
        itself, for every subscription, see `events.add_poller`.
        """
        return self._pollers.add(poller)

    def add_exemplars(self, find: FindExemplar) -> Callable[[], None]:
        """Add exemplars to histograms from now on: ``find()`` returns the labels of that of the running code.

        They are ``trace_id`` and ``span_id`` as a rule, such as an OpenTelemetry span has, or None where there is
        nothing to point at. It is called in the thread that emits; where it raises, that becomes `receiver_failed`,
        and no observation is lost. A bucket gets a new exemplar once a second at most. Prometheus sees exemplars in
        OpenMetrics alone. Return a function that ends it.
        """
        if not callable(find):
            raise TypeError(f"add_exemplars() takes a function that finds an exemplar, not {find!r:.60}")
        set_exemplars(self._receivers, find)
        return partial(set_exemplars, self._receivers, None)

    def close(self) -> None:
        """Disconnect from every signal and unregister the metrics; doing it again does nothing."""
        _subscriptions.get(self._registry, WeakSet()).discard(self)
        self._stop_polling()
        self._stop_polling = lambda: None
        self._stop_announcing()
        emit_overflows(self._receivers)
        disconnect(self._receivers)
        self._pollers.unregister()
        for collector in [family.exported for family in self._families.values()]:
            with suppress(KeyError):  # somebody unregistered it before
                self._registry.unregister(collector)
        self._families.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _labels_with_limits(self, rows: tuple[Metric, ...]) -> Iterator[tuple[LabelLimiter, str, str, str]]:
        """Yield which labels of which metrics may overflow, each with its limiter and its field."""
        for row in rows:
            family = self._families[row.name]
            for label, closed in row.label_sets():
                if closed is None or label in row.nested_in:
                    yield family.limiter, label, family.name, row.rename.get(label, label)

    def _add(self, row: Metric, namespace: str) -> None:
        family = self._families.get(row.name)
        if family is None:
            limiter = self._limiter_of(row.signals[0])
            family = FamilySeries(
                row, f"{namespace}_{row.name}", limiter, self._workers, native_histograms=self._native_histograms
            )
            self._families[row.name] = family
            try:
                self._registry.register(family.exported)
            except ValueError as error:
                raise ValueError(
                    f"the registry holds {family.name} already, from another subscription or of other code: "
                    "close that, or subscribe to a registry of its own"
                ) from error
            if row.kind == "gauge" and row.labels:
                self._pollers.add(partial(family.combined.show, family.collector))
            if row.expires_after is not None:
                self._pollers.add(partial(family.expiry.remove_expired, family.collector))
        family.add_row(row)

    def _limiter_of(self, signal: AnySignal) -> LabelLimiter:
        return self._own_limiter if signal in self._own_signals else self._limiter

    def _connect(self, rows: tuple[Metric, ...]) -> None:
        every_signal_rows = [(row, self._families[row.name]) for row in rows if every_signal in row.signals]
        signals = {signal for row in rows for signal in row.signals} - {every_signal}
        if every_signal_rows:
            signals.update(declared_signals())
        # The silence of these is no sign of a fault, so they have no time of their last event; their first is seen.
        rare_signal_rows = [(row, family) for row, family in every_signal_rows if row.kind == "counter"]
        for signal in sorted(signals, key=lambda signal: signal.name):
            receiver = (ApplicationReceiver if hasattr(signal.event, "is_of") else MetricsReceiver)(
                signal,
                [(row, self._families[row.name]) for row in rows if signal in row.signals],
                rare_signal_rows if signal in RARE_SIGNALS else every_signal_rows,
                self._limiter_of(signal),
            )
            if isinstance(receiver, ApplicationReceiver):
                receiver.application = self._application
            signal.connect(receiver)
            self._receivers.append((signal, receiver))


def check_known_values(label_values: Mapping[str, Iterable[str]]) -> None:
    """Raise TypeError for values of a label that are one text, whose letters would be the values."""
    for label, values in label_values.items():
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            raise TypeError(f"label_values: a label takes several values: write {{{label!r}: [{values!r:.60}]}}")


def with_earlier_of_name(rows: Iterable[Metric]) -> Iterator[tuple[Metric, Sequence[Metric]]]:
    """Yield each row with those before it that have its name, which are all that it can be equal to."""
    by_name: dict[str, list[Metric]] = {}
    for row in rows:
        earlier = by_name.setdefault(row.name, [])
        yield row, earlier
        earlier.append(row)


def declared_signals() -> list[Signal[..., Any]]:
    """Return every `events.Signal` that was declared in this process, ours and the application's."""
    return [signal for signal in default_namespace.values() if isinstance(signal, Signal)]
