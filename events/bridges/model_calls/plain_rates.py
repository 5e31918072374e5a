"""The cost of tokens by the rates of genai-prices' list: so much for a million of each kind.

The list computes any price. That takes some fifty times as long, and longer than all the rest of what a call adds: it
goes through every kind of usage that there is. Here are the four kinds that nearly all calls have; a call that has
another one with a rate of its own, such as audio or searches, is left to the list.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from math import lcm
from typing import Any, NamedTuple

from .cost import Cost

PER = 1_000_000

PLAIN_RATES = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")
"""The rates of the four kinds. Cached tokens are part of the input, and of its rate where they have none."""

LIST = "genai_prices.types"
"""Where the classes are whose rules these are; one that is derived from them may have others."""

MAX_KNOWN = 1024
_known: dict[int, tuple[dict[str, Any], PlainRates | None]] = {}


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
    others: tuple[str, ...]


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
    if rates is None:
        return None
    of_input, of_output, of_read, of_write, per_dollar, others = rates
    for name in others:
        if usage.get(name):
            return None
    count, completion = usage.get("input_tokens"), usage.get("output_tokens") or 0
    read = (usage.get("cache_read_tokens") or 0) if of_read is not None else 0
    write = (usage.get("cache_write_tokens") or 0) if of_write is not None else 0
    if not (type(count) is type(completion) is type(read) is type(write) is int):  # the list says what is wrong with it
        return None
    count -= read + write
    if count < 0 or completion < 0 or read < 0 or write < 0:  # the same
        return None
    prompt, completion, read, write = (
        count * of_input,
        completion * of_output,
        read * (of_read or 0),
        write * (of_write or 0),
    )
    # Whole numbers, since their quotient is exact to the last digit, as the list's decimals are.
    return Cost(
        (prompt + completion + read + write) / per_dollar,
        input=prompt / per_dollar,
        output=completion / per_dollar,
        cache_read=read / per_dollar,
        cache_write=write / per_dollar,
    )


def plain_rates(
    model: Any, seller: Any, usage: Mapping[str, Any], at: datetime, context: Mapping[str, str]
) -> PlainRates | None:
    """Return a model's rates at a time; None where they are not whole numbers of what nearly all calls have."""
    if type(model).__module__ != LIST:
        return None
    if context and not is_variant(model, seller, context):
        context = {}
    price = model.get_prices(at, context)
    if type(price).__module__ != LIST:
        return None
    prices = vars(price)
    known = _known.get(id(price))
    if known is None or known[0] != prices:  # an application may have set one of its own
        rates = read_rates(prices, usage.get("input_tokens"))
        if context or not all(type(each) is Decimal for each in prices.values()):  # made for this call, or has tiers
            return rates
        if len(_known) >= MAX_KNOWN:
            _known.clear()
        known = _known[id(price)] = prices.copy(), rates
    return known[1]


def is_variant(model: Any, seller: Any, context: Mapping[str, str]) -> bool:
    """Return whether a model has other prices for what an answer says of its tier."""
    said = context.items()
    if not any(variant.when.items() <= said for variant in model.price_variants or ()):
        return False
    return any(model is each for each in seller.models)


def read_rates(prices: Mapping[str, Any], prompt: Any) -> PlainRates | None:
    """Return the rates of prices for a prompt of so many tokens; None where one of the four kinds is no rate."""
    rates: dict[str, Fraction] = {}
    others: list[str] = []
    for name, price in prices.items():
        if price is None:
            continue
        if name not in PLAIN_RATES and (other := name_of_count(name)) is not None:
            others.append(other)
        elif name in PLAIN_RATES and (rate := rate_at(price, prompt)) is not None:
            rates[name] = Fraction(rate) / PER
        else:
            return None
    if "input_mtok" not in rates:
        return None
    per_dollar = lcm(*(rate.denominator for rate in rates.values()))
    whole = {name: int(rate * per_dollar) for name, rate in rates.items()}
    of_cache = whole.get("cache_read_mtok"), whole.get("cache_write_mtok")
    return PlainRates(whole["input_mtok"], whole.get("output_mtok", 0), *of_cache, per_dollar, tuple(others))


def rate_at(price: Any, prompt: Any) -> Decimal | None:
    """Return the rate of a price for a prompt of so many tokens; None of a price that is none."""
    if type(price) is not Decimal and type(prompt) is int and type(price).__module__ == LIST:
        longer_than = [tier for tier in price.tiers if prompt > tier.start]
        price = longer_than[-1].price if longer_than else price.base
    return price if type(price) is Decimal and price.is_finite() and price >= 0 else None


def name_of_count(rate: str) -> str | None:
    """Return the name of what a rate is of; None of what is not tokens or searches, which each call may have."""
    if rate.endswith("_mtok"):
        return f"{rate[:-5]}_tokens"
    return rate[:-7] if rate.endswith("_searches_kcount") else None
