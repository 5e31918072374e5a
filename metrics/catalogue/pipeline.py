"""The pipeline from events to metrics itself: events emitted, failures, values and labels left out."""

from __future__ import annotations

from dataclasses import dataclass

from blinker import Namespace

from events import collector_failed, event_dropped, label_overflowed, receiver_failed, setup_fault_found, value_dropped
from events.bus.fields import Label
from events.bus.signal import Signal

from ..rows import counter, gauge


@dataclass(frozen=True, slots=True, kw_only=True)
class EventEmitted:
    """An event of any signal was emitted."""

    signal: Label
    time: float


every_signal = Signal(EventEmitted, namespace=Namespace())
"""Stands for every signal in a row; it is never emitted itself."""

LABEL_LIMITS = {
    "collector": 20,
    "label": 180,  # pairs of metric and label
    "metric": 130,
    "receiver": 200,  # pairs of signal and receiver
    "signal": 66,
}
"""How many values an open label takes, by its name."""

# fmt: off
PIPELINE = (
    counter("events_total", "Events emitted.",
        every_signal, labels=("signal",)),
    gauge("last_event_timestamp_seconds", "Unix time of a signal's last event; 0 is never.",
        every_signal, value="time", labels=("signal",), multiprocess_mode="max"),
    counter("receiver_failures_total", "Failures of a signal's listeners, and events with fields that do not fit.",
        receiver_failed, labels=("signal", "receiver"), nested_in={"receiver": "signal"}, initialize=False),
    counter("events_dropped_total", "Events that a background listener was too slow to take.",
        event_dropped, labels=("signal", "receiver"), nested_in={"receiver": "signal"}, initialize=False),
    counter("label_overflows_total",
        "Events counted under the label value `other`: past the label's limit, or unfit.",
        label_overflowed, value="count", labels=("metric", "label"), nested_in={"label": "metric"}, initialize=False),
    counter("dropped_values_total",
        "Measures left out because they are no sensible number, or of too many things for a gauge of `other`.",
        value_dropped, labels=("metric", "reason"), initialize=False),
    counter("collector_failures_total", "Families left out of a scrape because their collector failed.",
        collector_failed, labels=("collector",), initialize=False),
    counter("setup_faults_total",
        "Starts of a process that make its numbers wrong; `python -m metrics doctor` says more.",
        setup_fault_found, labels=("fault",)),
)
# fmt: on
