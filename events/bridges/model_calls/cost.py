"""The cost of a call to a model: what the seller or a price function says, if it can be a cost.

Sources: https://openrouter.ai/docs/use-cases/usage-accounting (``usage.cost``, with a key of one's own also
``cost_details.upstream_inference_cost``), https://docs.litellm.ai/docs/proxy/response_headers
(``x-litellm-response-cost``), https://docs.x.ai/developers/cost-tracking (``cost_in_usd_ticks``),
https://docs.perplexity.ai/api-reference/chat-completions-post (``cost.total_cost``),
https://deepinfra.com/docs/openai_api (``estimated_cost``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction, signature
from math import fsum
from typing import Any, Self, SupportsFloat

from ...bus.amount_limits import drop_reason
from ...llm import CostSource
from ...pipeline import value_dropped
from .token_usage import TokenUsage, as_mapping, get

MAX_COST = 10**6  # USD, of one call

TICKS_PER_DOLLAR = 10**10
LITELLM_HEADER = "x-litellm-response-cost"

NAMES_OF_COST = frozenset({"cost", "estimated_cost", "cost_in_usd_ticks"})
"""Of which a usage has one that says what is billed."""

PART_FIELDS = ("input_cost", "output_cost", "cache_read_cost", "cache_write_cost")
"""The fields of the parts of a cost."""

UsagePriceFunction = Callable[[str, str, TokenUsage], SupportsFloat | None]
"""Returns the cost in USD of a usage, given the provider, the model and the usage; None where there is no price.

The cost is a number, or a `Cost` with its parts.
"""


def check_price(price: object) -> None:
    """Check that a price function can be asked: it is called where a call is emitted, and would fail there unseen.

    Raises:
        TypeError: It is no function, a coroutine function, or does not take the provider, the model and the usage.
    """
    if price is None:
        return
    advice = "pass a function of three arguments, the provider, the model and the usage, that returns US dollars"
    if not callable(price):
        raise TypeError(f"price is of type {type(price).__name__}: {advice}")
    name = getattr(price, "__qualname__", type(price).__name__)
    if iscoroutinefunction(price):
        raise TypeError(f"price {name} is a coroutine function, and nobody would await it: {advice}")
    try:
        taken = signature(price)
    except (TypeError, ValueError):  # of a function that is written in C
        return
    try:
        taken.bind("provider", "model", "usage")
    except TypeError:
        raise TypeError(f"price {name}{taken} cannot be called with three arguments: {advice}") from None


class Cost(float):
    """A cost in USD, with its parts by kind of token; a part is None where it is not known, or its tokens are not."""

    input: float | None
    """Of the prompt, without what was read from, or written to, the provider's cache."""
    output: float | None
    cache_read: float | None
    cache_write: float | None

    def __new__(
        cls,
        total: Any,
        *,
        input: Any = None,  # noqa: A002  # the price list's word
        output: Any = None,
        cache_read: Any = None,
        cache_write: Any = None,
    ) -> Self:
        """Return a cost; amounts are of any numeric type."""
        cost = super().__new__(cls, total)
        cost.input = None if input is None else float(input)
        cost.output = None if output is None else float(output)
        cost.cache_read = None if cache_read is None else float(cache_read)
        cost.cache_write = None if cache_write is None else float(cache_write)
        return cost


def cost_of_floats(total: float, *parts: float) -> Cost:
    """Return a cost whose parts are all known, in the order of the class: other numbers take longer."""
    cost = float.__new__(Cost, total)
    cost.input, cost.output, cost.cache_read, cost.cache_write = parts
    return cost


NO_COST = Cost(0.0, input=0.0, output=0.0, cache_read=0.0, cache_write=0.0)

OWN_SERVERS = frozenset({"ollama", "vllm"})
"""Providers that are servers of one's own: they send no bill, so their cost is known to be 0."""


def billed_cost(usage: Any, headers: Mapping[str, str]) -> float | None:
    """Return the cost in USD that a seller says it bills, in the usage of an answer or in its headers; None of others.

    Args:
        usage: The usage as the provider sent it: a mapping, an object of an SDK, or None.
        headers: Those of the response; none of a stream, since they are sent before anything is billed.
    """
    if type(usage) is not dict:
        usage = as_mapping(usage)
    if NAMES_OF_COST.isdisjoint(usage):
        return number(headers.get(LITELLM_HEADER)) if headers else None
    cost = usage.get("cost")
    if cost is None:
        cost = usage.get("estimated_cost")
    elif isinstance(cost, Mapping) or hasattr(cost, "total_cost"):
        cost = get(cost, "total_cost")
        cost = usage.get("estimated_cost") if cost is None else cost
    said = number(cost)
    if said is not None:
        if usage.get("is_byok") is True:  # the model's own seller bills the rest
            said += number(get(usage.get("cost_details"), "upstream_inference_cost")) or 0.0
        return said
    ticks = number(usage.get("cost_in_usd_ticks"))
    return ticks / TICKS_PER_DOLLAR if ticks is not None else number(headers.get(LITELLM_HEADER))


def number(value: Any) -> float | None:
    """Return a number, or a text that is one, as a float; None for anything else."""
    if value is None or isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def cost_fields(cost: SupportsFloat | None, source: CostSource) -> dict[str, Any]:
    """Return the fields of a cost; what cannot be one is no cost, and has no parts.

    Parts that are more than the cost together, as after a discount on the sum alone, are none of it.
    """
    valid = valid_cost(cost)
    if valid is None:
        return {"cost_source": "unpriced"}
    if not isinstance(cost, Cost):
        return {"cost": valid, "cost_source": source}
    most = valid * (1 + 1e-9)
    amounts: tuple[Any, ...] = (cost.input, cost.output, cost.cache_read, cost.cache_write)
    if None in amounts or not (min(amounts) >= 0.0 and fsum(amounts) <= most < MAX_COST):
        amounts = tuple(map(valid_cost, amounts))
        if not fsum(filter(None, amounts)) <= most:
            return {"cost": valid, "cost_source": source}
    of_input, of_output, of_read, of_write = amounts
    return {
        "cost": valid,
        "cost_source": source,
        "input_cost": of_input,
        "output_cost": of_output,
        "cache_read_cost": of_read,
        "cache_write_cost": of_write,
    }


def valid_cost(cost: SupportsFloat | None) -> float | None:
    """Return a cost in USD if it is at least 0 and below `MAX_COST`; else emit `value_dropped` and return None."""
    if cost is None:
        return None
    amount = float(cost)
    if 0.0 <= amount < MAX_COST:  # as the rule below, without a call
        return amount
    reason = drop_reason(amount, limit=MAX_COST)
    if reason is None:
        return amount
    value_dropped.emit(metric="llm_called.cost", reason=reason)
    return None
