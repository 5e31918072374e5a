"""Plays a recording of events into whoever is connected, such as a fresh registry."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from copy import copy
from dataclasses import dataclass, field
from math import inf
from typing import IO, Any

from prometheus_client import CollectorRegistry
from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

from events.bus.recordings import DamagedLine, RecordedEvent, RecordingGap, UnknownEvent, read_recording

from ..catalogue import RARE_SIGNALS, every_signal
from ..rows import Metric
from ..subscription.subscribe import Subscription


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """The fate of a recording's lines; it grows while they are played."""

    played: Counter[str] = field(default_factory=Counter)
    """How many events were emitted, by signal."""
    left_out: Counter[str] = field(default_factory=Counter)
    """How many were of other signals than those that were asked for."""
    unknown: Counter[str] = field(default_factory=Counter)
    """How many are of signals that this process does not declare."""
    damaged: list[DamagedLine] = field(default_factory=list)
    gaps: list[RecordingGap] = field(default_factory=list)
    last_times: dict[str, float] = field(default_factory=dict)
    """When the last event of each signal was emitted, as recorded, in Unix seconds."""


def replay(
    file: IO[bytes], *, speed: float = inf, signals: Collection[str] = (), report: ReplayReport | None = None
) -> ReplayReport:
    r"""Emit the events of a recording, and return what became of its lines.

    >>> from io import BytesIO
    >>> from prometheus_client import CollectorRegistry
    >>> from metrics import TOOLS, subscribe
    >>> line = b'{"schema":1,"signal":"tool_called","time":5,"fields":{"tool_name":"search","status":"success"'
    >>> registry = CollectorRegistry()
    >>> with subscribe(TOOLS, registry, namespace="acme"):
    ...     report = replay(BytesIO(line + b',"duration":0.2}}\n' + line))
    ...     registry.get_sample_value(
    ...         "acme_tool_calls_total", {"tool_name": "search", "status": "success", "mcp_server": "none"}
    ...     )
    1.0
    >>> report.played, [line.line for line in report.damaged]
    (Counter({'tool_called': 1}), [2])

    Args:
        file: The recording, or an event log.
        speed: How fast: 1 as it was recorded, 10 ten times as fast; without waiting by default.
        signals: The names of the signals to play; all by default.
        report: Where to note it; a new one by default.

    Raises:
        events.bus.recordings.UnknownRecording: It has another form than this version reads.
    """
    report = ReplayReport() if report is None else report
    wait = pacing(speed)
    for line in read_recording(file):
        match line:
            case RecordedEvent(signal=signal, event=event, time=moment):
                if signals and signal.name not in signals:
                    report.left_out[signal.name] += 1
                    continue
                wait(moment)
                signal.send(event)
                report.played[signal.name] += 1
                report.last_times[signal.name] = max(moment, report.last_times.get(signal.name, 0.0))
            case UnknownEvent(signal=name):
                report.unknown[name] += 1
            case RecordingGap():
                report.gaps.append(line)
            case DamagedLine():
                report.damaged.append(line)
    return report


def pacing(speed: float) -> Callable[[float], None]:
    """Return a function that waits until an event is due, given the Unix time at which it was recorded."""
    began: tuple[float, float] | None = None

    def wait(moment: float) -> None:
        nonlocal began
        if began is None:
            began = moment, time.monotonic()
        due = began[1] + (moment - began[0]) / speed
        if (left := due - time.monotonic()) > 0:
            time.sleep(left)

    return wait


def show_recorded_times(subscription: Subscription, catalogue: Iterable[Metric], report: ReplayReport) -> None:
    """Have the times of the last events be those of the recording, at every render from now on."""
    names = [row.name for row in catalogue if row.kind == "gauge" and every_signal in row.signals]
    rare = {signal.name for signal in RARE_SIGNALS}

    def show() -> None:
        for name in names:
            gauge = subscription.collector(name)
            for signal, moment in tuple(report.last_times.items()):
                if signal not in rare:
                    gauge.labels(signal).set(moment)

    subscription.poll(show)


class Replayed(Collector):
    """The families of a registry after a replay, without the times at which their series were made.

    Args:
        registry: The registry.
        only_counted: Whether series that are 0 are left out, and families without another one.
    """

    def __init__(self, registry: CollectorRegistry, *, only_counted: bool = False) -> None:
        self._registry = registry
        self._only_counted = only_counted

    def collect(self) -> Iterator[Family]:
        """Yield the families."""
        for found in self._registry.collect():
            family = copy(found)
            created = f"{family.name}_created"
            family.samples = [sample for sample in found.samples if sample.name != created]
            if self._only_counted:
                family.samples = without_zero(family)
                if not family.samples:
                    continue
            yield family


def without_zero(family: Family) -> list[Any]:
    """Return the samples of a family that are not 0; of a histogram, all of each series that has observed something."""
    if family.type != "histogram":
        return [sample for sample in family.samples if sample.value]
    observed = {
        tuple(sample.labels.items())
        for sample in family.samples
        if sample.name == f"{family.name}_count" and sample.value
    }
    return [
        sample
        for sample in family.samples
        if tuple((name, value) for name, value in sample.labels.items() if name != "le") in observed
    ]
