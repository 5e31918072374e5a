"""Receivers that were prepared for the names of the fields that are set: a place that emits sets the same each time.

An event is built only where a receiver wants the event itself; one that reads its fields alone gets a view of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .emitters import BindableReceiver
from .event_construction import construct_function_for, fits, is_plain
from .failures import report_failure
from .field_views import view_class
from .receivers import callable_name, refuse_awaitable

DeliverFn = Callable[[dict[str, Any]], None]
"""Takes the fields that are set, by name; they are its own from then on."""

Construct = Callable[[dict[str, Any]], Any]
"""Returns an event, or a view, of the fields that are set."""

Receiver = Callable[[Any], Any]


class PreparedReceivers(dict[tuple[str, ...], DeliverFn | None]):
    """The functions that call all receivers of a signal, by the names of the fields that are set, in their order.

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
        view = view_class(self._event)
        prepared = [self._prepare_receiver(each, names) if view else None for each in self._receivers]
        if view is not None and None not in prepared:
            construct: Construct | None = view_function(view)
        else:
            construct = construct_function_for(self._event, names)  # type: ignore[arg-type]  # a class is hashable
        if construct is None:
            return None
        calls = [(each or receiver, receiver) for each, receiver in zip(prepared, self._receivers, strict=True)]
        return deliver_function(self._signal, construct, calls)

    def _prepare_receiver(self, receiver: Receiver, names: tuple[str, ...]) -> Receiver | None:
        if not isinstance(receiver, BindableReceiver):
            return None
        try:
            return receiver.prepare(names)
        except Exception as error:
            report_failure(self._signal, callable_name(receiver), error)
            return None


def view_function(view_type: type[Any]) -> Construct:
    """Return a function that returns a view of the fields that it is called with."""
    new = object.__new__

    def view_of(fields: dict[str, Any]) -> Any:
        view = new(view_type)
        view.__dict__ = fields
        return view

    return view_of


def deliver_function(signal: str, construct: Construct, calls: Iterable[tuple[Receiver, Receiver]]) -> DeliverFn:
    """Return a function that calls several functions with what is made of the fields, even if some raise.

    Each comes with the receiver that is at fault then.
    """
    called = tuple(calls)

    def deliver(fields: dict[str, Any]) -> None:
        event = construct(fields)
        for receive, receiver in called:
            try:
                result = receive(event)
            except Exception as error:
                report_failure(signal, callable_name(receiver), error)
            else:
                if result is not None:
                    refuse_awaitable(signal, receiver, result)

    return deliver
