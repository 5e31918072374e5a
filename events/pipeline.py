"""Events of the event pipeline itself: failing receivers, dropped events and values, faulty files and set-ups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import isbuiltin
from typing import Any, Literal

from blinker import ANY, default_namespace

from .bus.announcements import add_announcer
from .bus.background import Background
from .bus.emitters import BindableReceiver
from .bus.failures import failure_hooks
from .bus.fields import Label
from .bus.receiver_inspection import callable_name
from .bus.signal import Signal

WorkerFileFault = Literal["empty", "torn", "unreadable", "unknown", "full", "unshared"]
"""What is wrong with a worker's metrics file: empty; torn; no file, or none that may be read; of a family that this
process lacks; no room left.

``unshared`` is the fault of a process that can have no file, or lost it, and so counts alone.
"""

ValueDropReason = Literal["negative", "not_finite", "not_a_number", "too_large", "too_many"]
"""Why a metric leaves a value out: `events.bus.amount_limits.DropReason`, or too many things are under ``other``."""

SetupFault = Literal["unshared_workers", "reload", "clock"]
"""What is wrong with how a process was started: workers that share no metrics, a reloader, a clock that is ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverFailed:
    """A receiver raised, or a field was emitted that the event does not have."""

    signal: Label
    receiver: Label
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDropped:
    """An event was dropped, since a background listener had no room for it or was closed."""

    signal: Label
    receiver: Label


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelOverflowed:
    """Label values past their limit, or such as are not valid, were counted as ``other``: ``count`` samples of them.

    The first one is emitted when it comes, those after it together, before the next render.
    """

    metric: Label
    label: Label
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueDropped:
    """An amount was left out of a metric: it is not a sensible number, see `events.bus.amount_limits.drop_reason`.

    Or it is that of one more thing than a gauge can combine under ``other``: the reason is ``too_many`` then.
    """

    metric: Label
    reason: ValueDropReason


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorFailed:
    """A collector failed during a scrape, so its metric family was left out."""

    collector: Label
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFileFaulty:
    """A file in which a worker process stores its metrics could not be used, wholly or in part."""

    fault: WorkerFileFault


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupFaultFound:
    """A process was started in a way that makes its metrics wrong."""

    fault: SetupFault


receiver_failed = Signal(ReceiverFailed)
event_dropped = Signal(EventDropped)
label_overflowed = Signal(LabelOverflowed)
value_dropped = Signal(ValueDropped)
collector_failed = Signal(CollectorFailed)
worker_file_faulty = Signal(WorkerFileFaulty)
setup_fault_found = Signal(SetupFaultFound)

FAULT_SIGNALS = (
    receiver_failed,
    event_dropped,
    label_overflowed,
    value_dropped,
    collector_failed,
    worker_file_faulty,
    setup_fault_found,
)
"""The signals above. They are emitted only when something goes wrong, so their absence is no sign of a fault."""


def _emit_receiver_failed(signal: str, receiver: str, error: BaseException) -> None:
    if signal != receiver_failed.name:  # its own failing receiver would be called again, without end
        receiver_failed.emit(signal=signal, receiver=receiver, error=type(error).__name__)


def _emit_event_dropped(signal: str, receiver: str) -> None:
    if signal != event_dropped.name:  # a listener of drops that is itself full would drop one more, without end
        event_dropped.emit(signal=signal, receiver=receiver)


def _announce_receiver(signal: str, receiver: Callable[..., Any]) -> None:
    """Announce the failures of a receiver that connects, and what it may drop; metrics and lists of tests are none."""
    if isinstance(receiver, BindableReceiver) or isbuiltin(receiver):
        return
    name = callable_name(receiver)
    if signal != receiver_failed.name:
        receiver_failed.announce(signal=signal, receiver=name)
    if isinstance(receiver, Background) and signal != event_dropped.name:
        event_dropped.announce(signal=signal, receiver=name)


def announce_receivers() -> None:
    """Announce the failures of every receiver that is connected."""
    for signal in default_namespace.copy().values():
        if isinstance(signal, Signal):
            for receiver in signal.receivers_for(ANY):
                _announce_receiver(signal.name, receiver)


add_announcer(announce_receivers)
failure_hooks.connected = _announce_receiver
failure_hooks.receiver_failed = _emit_receiver_failed
failure_hooks.event_dropped = _emit_event_dropped
