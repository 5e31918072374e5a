"""Turns the catalogue into one receiver a signal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from blinker import default_namespace
from prometheus_client import CollectorRegistry

from events.bus.signal import Signal

from ..catalogue import LABEL_LIMITS, PRESET_LABEL_VALUES, RARE_SIGNALS, every_signal
from ..multiprocess import Workers
from ..rows import AnySignal, Metric
from .label_limits import Labels
from .pollers import Poller, Pollers
from .receiver import Receiver
from .series import Instrument


def subscribe(
    catalogue: Iterable[Metric],
    registry: CollectorRegistry,
    *,
    namespace: str,
    label_values: Mapping[str, Iterable[str]] | None = None,
    label_limits: Mapping[str, int] | None = None,
    workers: Workers | None = None,
) -> Subscription:
    """Make the catalogue's instruments in a registry and move them by every event from now on.

    Args:
        catalogue: The rows, such as `metrics.CATALOGUE`.
        registry: Where the instruments go; never the global one by default.
        namespace: The first word of every metric's name, such as ``acme``.
        label_values: Values of open labels that are known beforehand, by label; their series exist at zero at once.
        label_limits: How many values an open label keeps, by label, where `catalogue.LABEL_LIMITS` does not suit.
        workers: The processes whose numbers the registry shows as one; alone by default.

    Raises:
        ValueError: rows of one name do not agree, an open label has no bound, a known value is unfit, or the registry
            holds a metric of the same name already.
    """
    return Subscription(
        tuple(catalogue),
        registry,
        namespace,
        {**LABEL_LIMITS, **(label_limits or {})},
        label_values or {},
        workers=workers,
    )


class Subscription:
    """The live instruments and their receivers; `close` undoes it."""

    def __init__(
        self,
        rows: tuple[Metric, ...],
        registry: CollectorRegistry,
        namespace: str,
        label_limits: Mapping[str, int],
        label_values: Mapping[str, Iterable[str]],
        *,
        workers: Workers | None,
    ) -> None:
        self._registry = registry
        self._receivers: list[tuple[AnySignal, Receiver]] = []
        self._labels = Labels(label_limits)
        self._instruments: dict[str, Instrument] = {}
        self._pollers = Pollers()
        self._workers = workers
        self._end_polling: Callable[[], None] = lambda: None
        try:
            if workers is None:
                registry.register(self._pollers)  # before the instruments that they move
            else:
                workers.attach(registry)
                self._end_polling = workers.every_second(self._pollers.run)  # for the scrapes that other workers answer
            for row in rows:
                self._add(row, namespace)
            self.initialize(**PRESET_LABEL_VALUES)
            self.initialize(**label_values)
            self._connect(rows)
        except BaseException:
            self.close()
            raise

    def collector(self, name: str) -> Any:
        """Return the live prometheus_client object of a row, by the row's name.

        Raises:
            KeyError: no row has the name.
        """
        return self._instruments[name].collector

    def initialize(self, **label_values: Iterable[str]) -> None:
        """Create the series of values of open labels that are to come, so that they exist at zero.

        Raises:
            ValueError: a value is unfit, or there are more than the label's bound.
        """
        for label, values in label_values.items():
            for value in self._labels.expect(label, values):
                for instrument in self._instruments.values():
                    instrument.expect(label, value)

    def poll(self, poller: Poller) -> Callable[[], None]:
        """Call ``poller()`` before every render of the registry: it reads what nobody tells, and emits it as an event.

        It runs in the thread that renders, so it must be quick and wait for nothing; what it raises becomes
        `receiver_failed` and stops no render. The answer is a function that takes it out again.
        """
        return self._pollers.add(poller)

    def close(self) -> None:
        """Disconnect from every signal and take the instruments out of the registry; again is nothing."""
        self._end_polling()
        self._end_polling = lambda: None
        for signal, receiver in self._receivers:
            signal.disconnect(receiver)
        for collector in (self._pollers, *(instrument.shown for instrument in self._instruments.values())):
            with suppress(KeyError):  # somebody took it out before
                self._registry.unregister(collector)
        self._receivers.clear()
        self._instruments.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _add(self, row: Metric, namespace: str) -> None:
        instrument = self._instruments.get(row.name)
        if instrument is None:
            instrument = self._instruments[row.name] = Instrument(
                row, f"{namespace}_{row.name}", self._labels, self._workers
            )
            self._registry.register(instrument.shown)
        instrument.add(row)

    def _connect(self, rows: tuple[Metric, ...]) -> None:
        everywhere = [row for row in rows if every_signal in row.signals]
        counted = {signal for row in rows for signal in row.signals} - {every_signal}
        if everywhere:
            counted.update(signal for signal in declared() if signal not in RARE_SIGNALS)
        for signal in sorted(counted, key=lambda signal: signal.name):
            moved = [(row, self._instruments[row.name]) for row in rows if signal in row.signals]
            watches = [(row, self._instruments[row.name]) for row in everywhere if signal not in RARE_SIGNALS]
            receiver = Receiver(signal, moved, watches, self._labels)
            signal.connect(receiver)
            self._receivers.append((signal, receiver))


def declared() -> list[Signal[..., Any]]:
    """Every signal of ours in the process."""
    return [signal for signal in default_namespace.values() if isinstance(signal, Signal)]
