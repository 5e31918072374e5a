"""Events of listeners that pass events on, such as an audit trail or a live feed: what became of the events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .bus.fields import Label
from .bus.signal import Signal

Delivery = Literal["delivered", "retried", "dropped", "dead_letter", "failed"]
"""What became of events that a listener was to pass on.

- ``delivered``: they are where the listener takes them: stored, written, sent, or in its buffer.
- ``retried``: another attempt at them was made; it ends in one of the others.
- ``dropped``: they were left out, since there was no room for them, or no time.
- ``dead_letter``: they were given up after all attempts, or refused for good by whoever was to take them.
- ``failed``: an error lost them.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerDelivered:
    """A listener delivered events, or did not: ``count`` of them at once."""

    listener: Label
    outcome: Delivery
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedClientsRead:
    """It was read how many clients follow the live feed of this process; None where it has none any more."""

    clients: int | None


listener_delivered = Signal(ListenerDelivered)
feed_clients_read = Signal(FeedClientsRead)
