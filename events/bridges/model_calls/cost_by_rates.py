"""The cost of tokens by the rates of genai-prices' list: so much for a million of each kind.

The list computes any price. That takes some fifty times as long, and longer than all the rest of what a call adds: it
goes through every kind of usage that there is. Here are the four kinds that nearly all calls have; a call that has
another one with a rate of its own, such as audio or searches, is left to the list.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import lcm
from typing import Any, NamedTuple

from .cost import Cost, cost_of_floats

PER = 1_000_000

PLAIN_RATES = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")
"""The rates of the four kinds. Cached tokens are part of the input, and of its rate where they have none."""

LIST = "genai_prices.types"
"""Where the classes are whose rules these are; one that is derived from them may have others."""

MAX_KNOWN = 1024
_known: dict[tuple[str | int, ...], tuple[PlainRates | None, tuple[Decimal, ...]]] = {}
"""The rates of prices by the names in them and the identities of their values, and these values, which stay theirs.

By identity: the float 1.5 equals a decimal that it replaces, and is no rate.
"""

COUNT = {int}


class PlainRates(NamedTuple):  # a frozen dataclass takes four times as long to read
    """The price of a token of each kind, in whole units: as many of them as `per_dollar` are a dollar.

    Attributes:
        cache_read: None where it is a part of the input.
        cache_write: None where it is a part of the input.
        others: The counts that have a rate of their own beside these.
    """

    input: int
    output: int
    cache_read: int | None
    cache_write: int | None
    per_dollar: int
    others: frozenset[str]


def plain_cost(
    model: Any, seller: Any, usage: Mapping[str, Any], at: datetime, context: Mapping[str, str]
) -> Cost | None:
    """Return the cost of a usage with its parts, to the last digit the list's; None where the list has to be asked.

    Args:
        model: The model in the list.
        seller: Who sells it, in the list.
        usage: The counts that are known, by the list's names, and nothing else.
        at: When the answer was given.
        context: What the answer says of its tier.
    """
    rates = plain_rates(model, seller, usage, at, context)
    if rates is None:
        return None
    of_input, of_output, of_read, of_write, per_dollar, others = rates
    get = usage.get
    if {*map(type, usage.values())} != COUNT or min(usage.values()) < 0 or (prompt := get("input_tokens")) is None:
        return None  # the list says what is wrong with it
    if not others.isdisjoint(usage) and any(map(get, others)):
        return None
    output, read, write = get("output_tokens", 0) * of_output, 0, 0
    if of_read is not None and (cached := get("cache_read_tokens")):
        prompt, read = prompt - cached, cached * of_read
    if of_write is not None and (cached := get("cache_write_tokens")):
        prompt, write = prompt - cached, cached * of_write
    if prompt < 0:  # the same
        return None
    prompt *= of_input
    try:  # whole numbers, since their quotient is exact to the last digit, as the list's decimals are
        return cost_of_floats(
            (prompt + output + read + write) / per_dollar,
            prompt / per_dollar,
            output / per_dollar,
            read / per_dollar,
            write / per_dollar,
        )
    except OverflowError:  # more than a float can be
        return None


def plain_rates(
    model: Any, seller: Any, usage: Mapping[str, Any], at: datetime, context: Mapping[str, str]
) -> PlainRates | None:
    """Return a model's rates at a time; None where they are not whole numbers of what nearly all calls have."""
    if type(model).__module__ != LIST or "calc_price" in vars(model):  # an application may set one of its own
        return None
    if context and not is_variant(model, seller, context):
        context = {}
    price = model.get_prices(at, context)
    if type(price).__module__ != LIST:
        return None
    prices = vars(price)
    key = (*prices, *map(id, prices.values()))
    known = _known.get(key)
    if known is not None:
        return known[0]
    rates = read_rates(prices, usage.get("input_tokens"))
    if all(type(each) is Decimal for each in prices.values()):  # tiers may be changed in place
        if len(_known) >= MAX_KNOWN:
            _known.clear()
        _known[key] = rates, (*prices.values(),)
    return rates


def is_variant(model: Any, seller: Any, context: Mapping[str, str]) -> bool:
    """Return whether a model has other prices for what an answer says of its tier."""
    said = context.items()
    if not any(variant.when.items() <= said for variant in model.price_variants or ()):
        return False
    return any(model is each for each in seller.models)


def read_rates(prices: Mapping[str, Any], prompt: Any) -> PlainRates | None:
    """Return the rates of prices for a prompt of so many tokens; None where the list refuses one, or is to be asked."""
    rates: dict[str, Fraction] = {}
    others: set[str] = set()
    priced = {name: price for name, price in prices.items() if price is not None}
    for name, price in priced.items():
        if (rate := rate_at(price, prompt)) is None:
            return None
        if name in PLAIN_RATES:
            rates[name] = Fraction(rate) / PER
        elif (other := name_of_count(name)) is not None:
            others.add(other)
        else:
            return None
    if "input_mtok" not in rates or (others and not fit_together(*priced)):
        return None
    per_dollar = lcm(*(rate.denominator for rate in rates.values()))
    whole = {name: int(rate * per_dollar) for name, rate in rates.items()}
    of_cache = whole.get("cache_read_mtok"), whole.get("cache_write_mtok")
    return PlainRates(whole["input_mtok"], whole.get("output_mtok", 0), *of_cache, per_dollar, frozenset(others))


def rate_at(price: Any, prompt: Any) -> Decimal | None:
    """Return the rate of a price for a prompt of so many tokens; None of a price that the list refuses."""
    if is_rate(price):
        return price  # type: ignore[no-any-return]  # a Decimal
    if (type(price).__module__, type(price).__name__) != (LIST, "TieredPrices") or type(prompt) is not int:
        return None
    starts, rates = [tier.start for tier in price.tiers], [price.base, *(tier.price for tier in price.tiers)]
    if not all(map(is_rate, rates)) or not all(type(start) is int and start >= 0 for start in starts):
        return None
    return rates[bisect_left(starts, prompt)] if starts == sorted(starts) else None


def is_rate(value: Any) -> bool:
    """Return whether a value is a rate by the list's rules."""
    return type(value) is Decimal and value.is_finite() and value >= 0


@lru_cache(256)  # a list has few such combinations
def fit_together(*names: str) -> bool:
    """Return whether the list takes rates of these names for one model: some of them need others beside them."""
    from genai_prices.types import ModelPrice  # it is installed: a price is in its list

    try:
        ModelPrice(**dict.fromkeys(names, Decimal(0))).calc_price({})
    except ValueError:
        return False
    return True


def name_of_count(rate: str) -> str | None:
    """Return the name of what a rate is of; None of what is not tokens or searches, which each call may have."""
    if rate.endswith("_mtok"):
        return f"{rate[:-5]}_tokens"
    return rate[:-7] if rate.endswith("_searches_kcount") else None
