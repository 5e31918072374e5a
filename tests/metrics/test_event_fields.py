"""What rows read from the fields of an event: closed labels, and label values as text."""

from __future__ import annotations

from enum import Enum

import pytest

from metrics.event_fields import label_text, possible_values


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
