"""The bill of a request to a model: its tokens, and their cost as the provider or a price function says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, SupportsFloat

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.usage import RequestUsage

from ...bus.amount_limits import drop_reason
from ...pipeline import value_dropped
from .usage import TokenUsage, add_optional, token_usage

CostSource = Literal["provider", "price_table", "unpriced"]

PriceFunction = Callable[[str, str, RequestUsage], float | None]
"""Returns the cost in USD of a usage, given the provider, the model and the usage; None where there is no price."""

MAX_COST = 10**6  # USD, of one call


@dataclass(frozen=True, kw_only=True)
class Billing:
    """The tokens and the cost in USD of one request, or of several of one call."""

    usage: TokenUsage = TokenUsage()
    cost: float | None = None
    cost_source: CostSource | None = None

    def __add__(self, other: Billing) -> Billing:
        """Return the sum; its cost is unknown where that of one part is."""
        unpriced = "unpriced" in {self.cost_source, other.cost_source}
        return Billing(
            usage=self.usage + other.usage,
            cost=None if unpriced else add_optional(self.cost, other.cost),
            cost_source="unpriced" if unpriced else self.cost_source or other.cost_source,
        )


def billing_of(
    response: ModelResponse,
    messages: Iterable[ModelMessage],
    provider: str,
    model: str,
    price: PriceFunction | None,
    *,
    complete: bool,
) -> Billing:
    """Return the billing of a response to ``messages``; without a full count of its tokens it has no cost.

    ``complete`` is False where the response broke off.
    """
    usage = token_usage(response, messages, complete=complete)
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return Billing(usage=usage)
    reported = getattr(response.usage, "cost", None)  # some gateways report the cost
    cost = valid_cost(price(provider, model, response.usage) if reported is None and price is not None else reported)
    source: CostSource = "price_table" if reported is None else "provider"
    return Billing(usage=usage, cost=cost, cost_source="unpriced" if cost is None else source)


def valid_cost(cost: SupportsFloat | None) -> float | None:
    """Return a cost in USD if it is at least 0 and below `MAX_COST`; else emit `value_dropped` and return None."""
    if cost is None:
        return None
    amount = float(cost)
    reason = drop_reason(amount, limit=MAX_COST)
    if reason is None:
        return amount
    value_dropped.emit(metric="llm_called.cost", reason=reason)
    return None
