"""Receivers that were prepared for the names of the fields that are set: a place that emits sets the same each time.

An event is built only where a receiver wants the event itself; one that reads its fields alone gets these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import isroutine
from typing import Any

from .emitters import BindableReceiver, DeliverFn
from .event_construction import construct_function_for, fits, is_plain, mutable_twin
from .failures import report_failure
from .receiver_inspection import callable_name, refuse_awaitable

Construct = Callable[[dict[str, Any]], Any]
"""Returns an event of the fields that are set."""

Receiver = Callable[[Any], Any]


class PreparedReceivers(dict[tuple[str, ...], DeliverFn | None]):
    """The functions that call all receivers of a signal, by the names of the fields that are set, in their order.

    What one of several receivers raises is reported; of a single one it is left to the caller, whom that costs nothing.

    Names are prepared for when they have come some times. None until then, and where the fields do not fit the event,
    its class does more than set them, or ever new sets of names have come: then the event's own class builds it.
    """

    MAX_SIZE = 64
    """How many sets of names it holds: code that emits has a few for each kind of event."""

    CALLS_BEFORE_PREPARING = 8
    """How often names come before they are prepared for, which takes as long as hundreds of events."""

    def __init__(self, signal: str, event: type[Any], receivers: tuple[Receiver, ...]) -> None:
        super().__init__()
        self._signal = signal
        self._event = event
        self._receivers = receivers
        self._calls: dict[tuple[str, ...], int] = {}

    def __missing__(self, names: tuple[str, ...]) -> DeliverFn | None:
        """Return None, or from the ninth time on store and return what calls the receivers for these names."""
        calls = self._calls.get(names, 0)
        if calls < self.CALLS_BEFORE_PREPARING:
            if calls or len(self._calls) < self.MAX_SIZE:
                self._calls[names] = calls + 1
            return None
        try:
            deliver = self._prepare(names)
        except RecursionError:  # the stack has no room for it now
            return None
        self[names] = deliver
        return deliver

    def _prepare(self, names: tuple[str, ...]) -> DeliverFn | None:
        if not (is_plain(self._event) and fits(self._event, names)):
            return None
        completes = mutable_twin(self._event) is None  # what it is built of is not all of its fields
        prepared = [None if completes else self._prepare_receiver(each, names) for each in self._receivers]
        construct = None
        if None in prepared:
            construct = construct_function_for(self._event, names)  # type: ignore[arg-type]  # a class is hashable
            if construct is None:
                return None
        calls = [*zip(prepared, self._receivers, strict=True)]
        if construct is None and len(calls) == 1:
            return prepared[0]
        return deliver_function(self._signal, construct, calls)

    def _prepare_receiver(self, receiver: Receiver, names: tuple[str, ...]) -> DeliverFn | None:
        if not isinstance(receiver, BindableReceiver):
            return None
        try:
            receive = receiver.prepare(names)
        except Exception as error:
            report_failure(self._signal, callable_name(receiver), error)
            return None
        # The method of an object is called faster than the object.
        return receive if receive is None or isroutine(receive) else receive.__call__  # type: ignore[operator]


def deliver_function(
    signal: str, construct: Construct | None, calls: Iterable[tuple[DeliverFn | None, Receiver]]
) -> DeliverFn:
    """Return a function that calls receivers with the event, or what was prepared of them with the fields.

    One that raises starves no other. Without ``construct`` all are prepared.
    """
    called = tuple(calls)
    if construct is not None and not any(receive for receive, _ in called):
        return deliver_event(signal, construct, [receiver for _, receiver in called])

    def deliver(fields: dict[str, Any]) -> None:
        event: Any = None if construct is None else construct(fields)
        for receive, receiver in called:
            try:
                result: Any = receiver(event) if receive is None else receive(fields)
            except Exception as error:
                report_failure(signal, callable_name(receiver), error)
            else:
                if result is not None:
                    refuse_awaitable(signal, receiver, result)

    return deliver


def deliver_event(signal: str, construct: Construct, receivers: Iterable[Receiver]) -> DeliverFn:
    """Return a function that calls receivers with the event, even if some raise."""
    called = tuple(receivers)

    def deliver(fields: dict[str, Any]) -> None:
        event = construct(fields)
        for receiver in called:
            try:
                result = receiver(event)
            except Exception as error:
                report_failure(signal, callable_name(receiver), error)
            else:
                if result is not None:
                    refuse_awaitable(signal, receiver, result)

    return deliver
