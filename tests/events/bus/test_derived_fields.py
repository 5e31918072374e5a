"""A derived field is a property of an event, and a function of the fields that it is derived from."""

from __future__ import annotations

from dataclasses import dataclass

from events.bus.derived_fields import derived
from metrics.event_fields import property_types


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSent:
    """A file was sent."""

    size: int
    duration: float = 0.5

    @derived
    @staticmethod
    def rate(size: int, duration: float) -> float:
        """The bytes a second."""
        return size / duration

    @derived
    @staticmethod
    def is_empty(size: int) -> bool:
        return size == 0


def test_it_is_a_property_of_the_event() -> None:
    event = FileSent(size=100)
    assert (event.rate, event.is_empty) == (200.0, False)
    assert FileSent.rate.__doc__ == "The bytes a second."
    assert property_types(FileSent) == {"rate": float, "is_empty": bool}


def test_it_is_a_function_of_fields_by_name() -> None:
    rate, is_empty = vars(FileSent)["rate"], vars(FileSent)["is_empty"]
    assert (rate.sources, is_empty.sources) == (("size", "duration"), ("size",))
    assert rate.function(30, 0.5) == 60.0
    assert isinstance(rate, property)
