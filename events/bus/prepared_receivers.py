"""Receivers that were prepared for the names of the fields that emissions set, so that no event is built for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .emitters import BindableReceiver
from .failures import report_failure
from .field_views import fits, view_class
from .receivers import callable_name

FieldsFn = Callable[[dict[str, Any]], None]
"""Takes the fields that are set, by name; they are its own from then on."""


class PreparedReceivers(dict[tuple[str, ...], FieldsFn | None]):
    """The functions that call all receivers of a signal, by the names of the fields that are set, in their order.

    Names are prepared for when they are looked up first. None where the event has to be built: a receiver wants it, the
    fields do not fit it, or ever new sets of names have come.
    """

    MAX_SIZE = 256
    """How many sets of names it holds: code that emits has a few for each kind of event."""

    def __init__(self, signal: str, event: type[Any], receivers: Iterable[BindableReceiver]) -> None:
        super().__init__()
        self._signal = signal
        self._event = event
        self._view = view_class(event)
        self._receivers = tuple(receivers)

    def __missing__(self, names: tuple[str, ...]) -> FieldsFn | None:
        """Prepare, store and return what calls the receivers for names that are looked up for the first time."""
        if len(self) >= self.MAX_SIZE:
            return None
        call = self[names] = self._prepare(names)
        return call

    def _prepare(self, names: tuple[str, ...]) -> FieldsFn | None:
        view_type = self._view
        if view_type is None or not fits(self._event, names):
            return None
        prepared: list[tuple[Callable[[Any], None], str]] = []
        for receiver in self._receivers:
            name = callable_name(receiver)
            try:
                receive = receiver.prepare(names)
            except Exception as error:
                report_failure(self._signal, name, error)
                receive = None
            if receive is None:
                return None
            prepared.append((receive, name))
        return calling(self._signal, view_type, prepared)


def prepared_receivers(signal: str, event: type[Any], receivers: Iterable[Any]) -> PreparedReceivers | None:
    """Return what prepares the receivers of a signal; None where one of them takes nothing but events."""
    able = [receiver for receiver in receivers if isinstance(receiver, BindableReceiver)]
    return PreparedReceivers(signal, event, able) if able and len(able) == len([*receivers]) else None


def calling(signal: str, view_type: type[Any], prepared: list[tuple[Callable[[Any], None], str]]) -> FieldsFn:
    """Return a function that calls all of several prepared receivers with a view of the fields, even if some raise."""
    new = object.__new__
    if len(prepared) == 1:  # nearly always, and a loop takes as long again as the call
        [(only, its_name)] = prepared

        def call_only(fields: dict[str, Any]) -> None:
            view = new(view_type)
            view.__dict__ = fields
            try:
                only(view)
            except Exception as error:
                report_failure(signal, its_name, error)

        return call_only

    def call(fields: dict[str, Any]) -> None:
        view = new(view_type)
        view.__dict__ = fields
        for receive, name in prepared:
            try:
                receive(view)
            except Exception as error:
                report_failure(signal, name, error)

    return call
