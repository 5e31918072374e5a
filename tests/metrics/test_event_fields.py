"""What rows read from the fields of an event: closed labels, and label values as text."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import pytest
from blinker import Namespace

from events import Seconds, Signal
from events.bus.fields import Measure, PairingKey
from metrics.event_fields import field_types, find_annotation, label_text, pairing_field, possible_values


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), ("", "unknown"), (None, "unknown"), (True, "true"), (404, "404"), (Colour.RED, "red")],
)
def test_label_values_are_written_as_text(value: object, text: str) -> None:
    assert label_text(value) == text


def test_plain_text_is_not_a_closed_label() -> None:
    assert possible_values(str) is None


@dataclass(frozen=True, kw_only=True)
class Served:
    """A request was served."""

    waited: Seconds
    worked: Seconds | None

    @property
    def took(self) -> Seconds:
        """How long it took."""
        return self.waited + (self.worked or 0.0)

    @property
    def untold(self):  # type: ignore[no-untyped-def]  # that is what it shows
        """Of no declared type."""


def test_a_property_is_a_field_with_the_unit_that_it_declares() -> None:
    types = field_types(Signal(Served, namespace=Namespace()))
    assert [*types] == ["waited", "worked", "took"]
    for name in types:
        assert find_annotation(types[name], Measure).unit == "seconds"
        assert find_annotation(types[name], PairingKey) is None


def test_an_event_without_a_key_cannot_be_paired() -> None:
    with pytest.raises(TypeError, match="has no Key field"):
        pairing_field(Signal(Served, namespace=Namespace()))


@pytest.mark.parametrize(
    ("field_type", "values"),
    [
        (bool, ("false", "true")),
        (bool | None, ("false", "true")),
        (Literal["a", "b"] | None, ("a", "b")),
        (Colour, ("red",)),
        (str | None, None),
        (Literal["a"] | Colour | None, None),
        (int, None),
    ],
)
def test_a_closed_label_is_a_literal_an_enumeration_or_a_flag(field_type: Any, values: tuple[str, ...] | None) -> None:
    assert possible_values(field_type) == values
