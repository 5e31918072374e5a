"""The cost of tokens by the rates of genai-prices' list: so much for a million of each kind.

The list computes any price. That takes some fifty times as long, and longer than all the rest of what a call adds: it
goes through every kind of usage that there is. Here are the four kinds that nearly all calls have; a call that has
another one with a rate of its own, such as audio or searches, is left to the list.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from .cost import Cost

PER = 1_000_000
NOTHING = Decimal(0)

# A rate, and what it is of. Cached tokens are part of the input, and of the rate of that where they have none.
# fmt: off
PLAIN_RATES = {
    "input_mtok":       "input_tokens",
    "output_mtok":      "output_tokens",
    "cache_read_mtok":  "cache_read_tokens",
    "cache_write_mtok": "cache_write_tokens",
}
# fmt: on

LIST = "genai_prices.types"
"""Where the classes are whose rules these are; one that is derived from them may have others."""


def plain_cost(
    model: Any, seller: Any, usage: Mapping[str, Any], at: datetime, context: Mapping[str, str]
) -> Cost | None:
    """Return the cost of a usage with its parts, to the last digit the list's; None where the list has to be asked.

    Args:
        model: The model in the list.
        seller: Who sells it, in the list.
        usage: The counts that are known, by the list's names.
        at: When the answer was given.
        context: What the answer says of its tier.
    """
    rates = plain_rates(model, seller, usage, at, context)
    counts = {name: usage.get(PLAIN_RATES[name]) or 0 for name in rates}
    for count in counts.values():
        if type(count) is not int or count < 0:  # the list says what is wrong with it
            return None
    if "input_mtok" not in rates or usage.get("input_tokens") is None:
        return None
    counts["input_mtok"] -= counts.get("cache_read_mtok", 0) + counts.get("cache_write_mtok", 0)
    if counts["input_mtok"] < 0:  # the same
        return None
    costs = {name: rate * counts[name] / PER for name, rate in rates.items()}
    return Cost(
        sum(costs.values()),
        input=costs["input_mtok"],
        output=costs.get("output_mtok", NOTHING),
        cache_read=costs.get("cache_read_mtok", NOTHING),
        cache_write=costs.get("cache_write_mtok", NOTHING),
    )


def plain_rates(
    model: Any, seller: Any, usage: Mapping[str, Any], at: datetime, context: Mapping[str, str]
) -> dict[str, Decimal]:
    """Return a model's rates of the four kinds; none where they are not all that the usage's cost depends on."""
    if type(model).__module__ != LIST:
        return {}
    if not model.price_variants or (context and not any(model is each for each in seller.models)):
        context = {}
    prices = model.get_prices(at, context)
    if type(prices).__module__ != LIST:
        return {}
    rates: dict[str, Decimal] = {}
    for name, price in vars(prices).items():
        if price is not None and name in PLAIN_RATES:
            rate = rate_at(price, usage.get("input_tokens"))
            if rate is None:
                return {}
            rates[name] = rate
        elif price is not None and has_count(usage, name):
            return {}
    return rates


def rate_at(price: Any, prompt: Any) -> Decimal | None:
    """Return the rate of a price for a prompt of so many tokens; None of a price that is none."""
    if type(price) is not Decimal and type(prompt) is int and type(price).__module__ == LIST:
        longer_than = [tier for tier in price.tiers if prompt > tier.start]
        price = longer_than[-1].price if longer_than else price.base
    return price if type(price) is Decimal and price.is_finite() and price >= 0 else None


def has_count(usage: Mapping[str, Any], rate: str) -> bool:
    """Return whether a usage has what a rate is of, or may have: of tokens or searches, that it has none is known."""
    if rate.endswith("_mtok"):
        return bool(usage.get(f"{rate[:-5]}_tokens"))
    return not rate.endswith("_searches_kcount") or bool(usage.get(rate[:-7]))
