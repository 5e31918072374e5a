"""The receiver of a signal whose events are of one application or another: those of HTTP."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from events.applications import is_among
from events.bus.emitters import DeliverFn

from ..fastpath.public_update import UpdateFn
from ..fastpath.set_fields import SetFields
from .receiver import MetricsReceiver


class ApplicationReceiver(MetricsReceiver):
    """Updates the metrics with the events of one application, by the name that its middleware has, or of all."""

    application = ""

    def __call__(self, event: Any) -> None:
        """Update every series that an event changes, if it is one of the application's."""
        if event.is_of(self.application):
            super().__call__(event)

    def prepare(self, names: Collection[str]) -> DeliverFn | None:
        """Return what `MetricsReceiver.prepare` does, for the events of the application.

        None where the event's class does not say which fields ``is_of`` reads.
        """
        receive = super().prepare(names)
        event: Any = self._signal.event
        asked: tuple[str, ...] = getattr(event, "is_of_fields", ())
        set_fields = SetFields(event, names)
        if receive is None or not asked or not all(map(set_fields.can_read, asked)):
            return None
        read = set_fields.tuple_reader(asked)

        @lru_cache(256)
        def is_of(application: str, values: tuple[Any, ...]) -> bool:
            return bool(event.is_of(SimpleNamespace(**dict(zip(asked, values, strict=True))), application))

        def receive_own(fields: dict[str, Any]) -> None:
            if is_of(self.application, read(fields)):
                receive(fields)

        return receive_own

    def bind(self, fixed: Mapping[str, Any], variable: tuple[str, ...]) -> UpdateFn | None:
        """Return what `MetricsReceiver.bind` does, or a function that does nothing for events of other applications."""
        if "applications" not in fixed or "scope" in {*fixed, *variable}:  # statements are not a request's alone
            return None
        return super().bind(fixed, variable) if is_among(fixed["applications"], self.application) else ignore

    def announced(self, fields: Mapping[str, Any]) -> None:
        """Create the series that an event with these fields adds to, unless it is another application's."""
        if is_among(fields.get("applications", self.application), self.application):
            super().announced(fields)

    def failures_announced(self, failures: Sequence[Mapping[str, Any]]) -> None:
        """Create the series of those failures that are of the application."""
        super().failures_announced(
            [each for each in failures if is_among(each.get("applications", self.application), self.application)]
        )


def ignore(_: Any) -> None:
    """Do nothing: the event is of another application."""
