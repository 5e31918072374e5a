"""One rule says which amounts can be added up, and a scope, which has its comparison inline, keeps to it."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from functools import reduce
from math import inf, isinf, isnan, nan, nextafter
from numbers import Real
from operator import add
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.bus.amount_limits import MAX_AMOUNT, DropReason, drop_reason
from events.bus.scope import Scope


class ArrayScalar:
    """A number that compares and adds as a float does, and that nobody has registered as a `numbers.Real`."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return self.value

    def __le__(self, other: float) -> bool:
        return self.value <= other

    def __lt__(self, other: float) -> bool:
        return self.value < other

    def __ge__(self, other: float) -> bool:
        return self.value >= other

    def __gt__(self, other: float) -> bool:
        return self.value > other

    def __radd__(self, other: float) -> ArrayScalar:
        return ArrayScalar(other + self.value)

    def __repr__(self) -> str:
        return f"ArrayScalar({self.value})"


class Moody:
    """A registered number that cannot be converted."""

    def __float__(self) -> float:
        raise ZeroDivisionError

    def __repr__(self) -> str:
        return "Moody()"


Real.register(Moody)


def plain(amount: Any) -> float:
    """Return the number that is added for an amount."""
    return amount if isinstance(amount, int | float) else float(amount)


class Float64(float):
    """A subclass of float, as ``numpy.float64`` is."""


class Odd(float):
    """A float whose sums, comparisons and conversion say something else than its value."""

    def __radd__(self, _: float) -> float:
        return 0.0

    def __lt__(self, _: float) -> bool:
        return True

    def __float__(self) -> float:
        return nan


class OddCount(int):
    """An integer whose sums say something else than its value."""

    def __radd__(self, _: float) -> float:  # type: ignore[override]
        return 0.0


class Changing:
    """A registered number that is another one each time it is asked for."""

    def __init__(self) -> None:
        self.times = 0

    def __float__(self) -> float:
        self.times += 1
        return 5.0 if self.times == 1 else nan


Real.register(Changing)


NUMBERS = (
    st.integers()
    | st.integers(2**62, 2**65)
    | st.floats()
    | st.booleans()
    | st.floats().map(Float64)
    | st.fractions()
    | st.sampled_from([10**400, -(10**400), MAX_AMOUNT, nextafter(MAX_AMOUNT, 0), -0.0, 5e-324, -5e-324])
)
OTHERS = (
    st.none()
    | st.text()
    | st.binary()
    | st.complex_numbers()
    | st.floats().map(ArrayScalar)
    | st.lists(st.integers(), max_size=2)
)


@given(NUMBERS, st.sampled_from([0.0, -100.0, -1.7976931348623157e308]), st.sampled_from([1e6, MAX_AMOUNT, inf]))
def test_a_number_is_left_out_where_it_is_not_finite_or_outside_the_limits(
    amount: float, minimum: float, limit: float
) -> None:
    expected: DropReason | None
    if isinstance(amount, float) and (isnan(amount) or isinf(amount)):
        expected = "not_finite"
    elif amount < minimum:
        expected = "negative"
    else:
        expected = "too_large" if amount >= limit else None
    assert drop_reason(amount, minimum, limit) == expected


@given(OTHERS)
def test_anything_else_is_not_a_number(amount: Any) -> None:
    assert drop_reason(amount) == "not_a_number"


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        (0, None),
        (-0.0, None),
        (True, None),
        (Float64(0.5), None),
        (Odd(0.5), "not_finite"),
        (OddCount(1), None),
        (OddCount(2**63), "too_large"),
        (2**63 - 1, None),
        (2**63, "too_large"),
        (10**400, "too_large"),
        (-1, "negative"),
        (-(10**400), "negative"),
        (-5e-324, "negative"),
        (nan, "not_finite"),
        (inf, "not_finite"),
        (-inf, "not_finite"),
        ("1", "not_a_number"),
        (None, "not_a_number"),
        (Decimal(1), None),
        (Decimal("-0.5"), "negative"),
        (Decimal("nan"), "not_finite"),
        (Decimal("snan"), "not_a_number"),
        (Decimal(10) ** 400, "not_finite"),
        (Fraction(10**400), "too_large"),
        (Moody(), "not_a_number"),
        (Fraction(1, 2), None),
        (Fraction(-1, 2), "negative"),
        (Fraction(2**64), "too_large"),
        (ArrayScalar(1.0), "not_a_number"),
    ],
    ids=repr,
)
def test_the_default_limits_take_what_a_counter_can_hold(amount: Any, reason: DropReason | None) -> None:
    assert drop_reason(amount) == reason


@pytest.mark.slow
@given(st.lists(NUMBERS | st.decimals() | OTHERS, max_size=5))
def test_a_scope_adds_exactly_the_amounts_that_the_rule_lets_through(amounts: list[Any]) -> None:
    scope = Scope({}, None, {"weighed": (("weight", "kilograms"),)})
    for amount in amounts:
        scope.add("weighed", {"kilograms": amount})
    accepted = [plain(amount) for amount in amounts if drop_reason(amount) is None]
    expected = reduce(add, accepted, 0)  # `sum` would compensate for rounding, from Python 3.12 on
    assert scope.totals == ({"weight": expected} if accepted else {})


def test_what_is_added_is_the_number_that_was_checked_whatever_its_type_makes_of_it() -> None:
    scope = Scope({}, None, {"weighed": (("weight", "kilograms"),)})
    for amount in (2.0, OddCount(3), Odd(4.0), 1, OddCount(-1), Changing()):
        scope.add("weighed", {"kilograms": amount})
    assert scope.totals == {"weight": 11.0}
