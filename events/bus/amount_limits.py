"""The one rule that says which amounts may be added to a total, a counter or a histogram."""

from __future__ import annotations

from math import inf
from numbers import Real
from typing import Any, Literal

DropReason = Literal["negative", "not_finite", "not_a_number", "too_large"]
"""Why an amount is left out."""

MAX_AMOUNT = 2.0**63
"""The limit of an amount whose unit has none of its own: no counter and no identifier reaches it."""


def drop_reason(amount: Any, minimum: float = 0.0, limit: float = MAX_AMOUNT) -> DropReason | None:
    """Return why an amount has to be left out, or None if it may be added: ``minimum <= amount < limit``.

    One NaN, infinite, negative or absurdly large amount would make a sum useless for good. Numbers are ``int``,
    ``float`` and every other `numbers.Real` or ``Decimal``, such as ``numpy.int64``, which is added as a float.

    >>> drop_reason(1.5)
    >>> drop_reason(float("nan"))
    'not_finite'
    >>> drop_reason(-1)
    'negative'
    >>> drop_reason(2e9, limit=1e9)
    'too_large'
    """
    if type(amount) is not float and type(amount) is not int:
        try:
            amount = _converted(amount)
        except OverflowError:
            return "too_large"
        except Exception:  # whatever a stranger's type may raise
            return "not_a_number"
    if minimum <= amount < limit:
        return None
    if -inf < amount < minimum:
        return "negative"
    return "too_large" if limit <= amount < inf else "not_finite"


def exact_number(amount: Any) -> Any:
    """Return the ``float`` or ``int`` that is added for a number; what is none, or fits into neither, as it is.

    It is converted once, then checked and added: a type of its own, a subclass of these too, may compare, add and
    convert as it likes, and otherwise the next time.

    >>> exact_number(True), exact_number("1")
    (1, '1')
    """
    if type(amount) is float or type(amount) is int:
        return amount
    try:
        return _converted(amount)
    except Exception:
        return amount


def _converted(amount: Any) -> float:
    """Return a number as a ``float``, or as an ``int`` where it is one.

    Raises:
        TypeError: it is no number.
        Exception: what its type raises.
    """
    if isinstance(amount, int):
        return int(amount)
    if not isinstance(amount, float):
        from decimal import Decimal  # few have such amounts

        if not isinstance(amount, (Real, Decimal)):  # asked last: an ABC is slow
            raise TypeError(f"{type(amount).__qualname__} is no number")
    return float(amount)
