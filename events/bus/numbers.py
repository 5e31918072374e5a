"""Which number is a sensible amount: the one rule that all who add up amounts share."""

from __future__ import annotations

from math import inf
from typing import Any, Literal

DropReason = Literal["negative", "not_finite", "not_a_number", "too_large"]
"""Why an amount is left out."""

MAX_AMOUNT = 2.0**63
"""An amount from here on is no count of anything: it is past every counter and identifier."""


def drop_reason(amount: Any, minimum: float = 0.0, limit: float = MAX_AMOUNT) -> DropReason | None:
    """Return why an amount has to be left out, None if it can be added: ``minimum <= amount < limit``.

    One NaN, infinity or negative amount would spoil a sum for good.
    """
    if not isinstance(amount, (int, float)):
        return "not_a_number"
    if minimum <= amount < limit:
        return None
    if -inf < amount < minimum:
        return "negative"
    return "too_large" if limit <= amount < inf else "not_finite"
