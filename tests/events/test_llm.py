"""What events of calls compute of their fields."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from math import fsum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.llm import unsplit

LIMIT = 2.0**63
LARGE = (2048 - LIMIT, LIMIT, 0.0, 0.0)
"""Two parts that cannot be costs, whose sum could."""


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
        (1, (0.25, 0.25, 0.25, 0.25), 0.0),
        (2.0, (1, Fraction(1, 2), 0.25, 0.0), 0.25),
        (1.0, (-1.0, 0.25, 0.25, 0.25), 0.25),
        (1.0, (float("nan"), 0.25, 0.25, 0.25), 0.25),
        (1.0, ("free", 0.25, 0.25, 0.25), 0.25),
        (1.0, (Decimal("0.25"), 0.25, 0.25, 0.0), 0.25),
        (1.0, (10**400, 0.25, 0.25, 0.0), 0.5),
        (2e3, (2.0**63, 2048.0 - 2.0**63, 0.0, 0.0), 2e3),
        (float("inf"), (0.25, 0.25, 0.25, 0.25), float("inf")),
        (2.0**63, (0.25, 0.25, 0.25, 0.25), 2.0**63),
        (-1.0, (0.25, 0.0, 0.0, 0.0), -1.0),
        (1e30, (1e30, 0.0, 0.0, 0.0), 1e30),
        (1.0, (1e30, 0.25, 0.0, 0.0), 0.75),
        (1.0, (-1e30, 0.25, 0.0, 0.0), 0.75),
        (0.0, (0.0, 0.0, 0.0, 0.0), 0.0),
        (LIMIT, (LIMIT * (1 - 1e-12), 0.0, 0.0, 0.0), LIMIT),
        *((1.0, [*LARGE[place:], *LARGE[:place]], 1.0) for place in range(4)),
    ],
)
def test_what_is_left_of_a_cost_is_without_its_known_parts(cost: Any, parts: Sequence[Any], rest: Any) -> None:
    assert unsplit(cost, *parts) == rest


parts = st.floats(0, 1e6) | st.sampled_from([0.0, -0.0, 1e-300, 5e-324, 0.1])


@given(st.lists(parts, min_size=1, max_size=4), st.floats(0.999999998, 1.000000002) | parts)
def test_what_is_left_of_a_cost_is_what_the_exact_sum_of_its_parts_leaves(parts: list[float], share: float) -> None:
    for cost in (share, fsum(parts) * share):
        rest = cost - fsum(parts)
        assert unsplit(cost, *parts) == (rest if rest > cost * 1e-9 else 0.0)
