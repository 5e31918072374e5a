"""The events of every signal, collected while a block runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, SupportsIndex, TypeVar, overload

from events import Signal
from events.bus.event_classes import is_equivalent
from events.bus.receiver_inspection import EventList

from ..subscription.subscribe import declared_signals

E = TypeVar("E")


class CapturedEvents(EventList):
    """The events that were emitted, in their order; by a signal, as in ``captured[order_placed]``, those of it.

    It is a list otherwise: compare it, iterate it, or ``clear()`` it between two steps of a test.
    """

    def __init__(self) -> None:
        super().__init__()
        self._signals: dict[int, Signal[..., Any]] = {}  # those that it collects from, by their identity
        self._connections = ExitStack()

    def connect(self, signal: Signal[..., Any]) -> None:
        """Collect the events of a signal too, from now on."""
        self._signals[id(signal)] = signal
        self._connections.enter_context(signal.connected_to(self.append))

    def close(self) -> None:
        """Collect no more."""
        self._connections.close()

    @overload
    def __getitem__(self, key: Signal[..., E]) -> list[E]: ...
    @overload
    def __getitem__(self, key: SupportsIndex) -> Any: ...
    @overload
    def __getitem__(self, key: slice) -> list[Any]: ...
    def __getitem__(self, key: Any) -> Any:
        """Return the events of a signal, or the event at an index, as any list does.

        Raises:
            LookupError: the signal was declared after the first event could be seen, or is in a namespace of its own.
        """
        if not isinstance(key, Signal):
            return super().__getitem__(key)
        if id(key) not in self._signals:
            raise LookupError(
                f"{key.name} is not collected: it was declared while the test ran, or is in a namespace of its own."
                " Import its module at the top of the test's file, or use `with"
                f" {key.name}.captured()`"
            )
        return [event for event in self if is_equivalent(type(event), key.event)]


@contextmanager
def capture_events() -> Iterator[CapturedEvents]:
    """Collect the events of every signal that is declared by now while the block runs.

    >>> from events import tool_called
    >>> with capture_events() as captured:
    ...     tool_called.emit(tool_name="search", status="success", duration=0.1)
    >>> [event.tool_name for event in captured[tool_called]]
    ['search']
    """
    captured = CapturedEvents()
    try:
        for signal in declared_signals():
            captured.connect(signal)
        yield captured
    finally:
        captured.close()
