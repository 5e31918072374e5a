"""The receivers that a subscription has connected, and what is done with them.

These are functions of the receivers and not methods of the subscription, which refers to the registry: what a registry
holds, and what the process keeps to call later, must not keep the registry alive.
"""

from __future__ import annotations

from collections.abc import Callable

from ..event_fields import AnySignal
from .exemplar_updates import FindExemplar
from .receiver import MetricsReceiver

ConnectedReceivers = list[tuple[AnySignal, MetricsReceiver]]
"""Each with the signal that it is connected to."""


def end(receivers: ConnectedReceivers, stop_announcing: Callable[[], None]) -> None:
    """End a subscription whose registry is gone."""
    stop_announcing()
    disconnect(receivers)


def disconnect(receivers: ConnectedReceivers) -> None:
    """Disconnect receivers from their signals, and forget them."""
    for signal, receiver in receivers:
        signal.disconnect(receiver)
    receivers.clear()


def set_exemplars(receivers: ConnectedReceivers, find: FindExemplar | None) -> None:
    """Have receivers give exemplars by this function, or none; those of a subscription that has ended are none."""
    for signal, receiver in tuple(receivers):
        receiver.set_exemplars(find)
        signal.rebind()


def emit_overflows(receivers: ConnectedReceivers) -> None:
    """Emit `label_overflowed` for what receivers counted as ``other`` since the last time."""
    for _, receiver in receivers:
        receiver.emit_overflows()
