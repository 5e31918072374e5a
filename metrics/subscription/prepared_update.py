"""The update by events of which the same fields are set each time: what is never set is not looked at."""

from __future__ import annotations

from collections.abc import Callable, Collection
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .receiver import CompiledUpdate, MetricsReceiver


def prepared_update(
    receiver: MetricsReceiver, event: Any, key_fields: Collection[str], names: Collection[str]
) -> Callable[[Any], None]:
    """Return a function that does what a call of a receiver does, with events of which no other fields are set.

    The key that it looks up has no field that always has its default, and amounts that are always None are left out: of
    the forty fields of a model call, some ten are set.

    Args:
        receiver: What updates the metrics.
        event: The class of the events.
        key_fields: The fields, and properties, that choose what an event updates.
        names: The fields that are set.
    """
    specs = event.__dataclass_fields__
    varying = [name for name in key_fields if name in names or name not in specs]
    read_key: Callable[[Any], Any] = attrgetter(*varying) if varying else lambda _: ()
    absent = {name for name, spec in specs.items() if name not in names and spec.default is None}
    updates: dict[Any, CompiledUpdate] = {}

    def receive(event: Any) -> None:
        key = read_key(event)
        try:
            compiled = updates.get(key)
        except TypeError:  # not hashable
            receiver(event)
            return
        if compiled is None:
            compiled = receiver.compile_without(absent, event)
            if compiled is None:
                receiver(event)
                return
            if len(updates) >= receiver.MAX_CACHED:
                updates.clear()
            updates[key] = compiled
        update, event_updates = compiled
        update(event)
        if event_updates:
            receiver.update_each(event_updates, event)

    return receive
