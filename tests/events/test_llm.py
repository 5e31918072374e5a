"""What events of calls compute of their fields."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from events.llm import unsplit


@pytest.mark.parametrize(
    ("cost", "parts", "rest"),
    [
        (None, (0.1,), None),
        (1.0, (), 1.0),
        (1.0, (0.25, None, 0.5), 0.25),
        (1.0, (float("nan"), 0.25), 0.75),
        (Decimal("1.5"), (Decimal("0.5"), 0.25), 0.75),
        (0.3, (0.1, 0.1, 0.1), 0.0),
        (0.1, (0.2,), 0.0),
        (-1.0, (0.25,), -1.0),
    ],
)
def test_what_is_left_of_a_cost_is_without_its_known_parts(cost: Any, parts: tuple[Any, ...], rest: Any) -> None:
    assert unsplit(cost, *parts) == rest
