"""Tokens and cost of a request to a model: the cost is what the seller or a price function says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from inspect import Parameter, signature
from operator import call
from typing import Any, SupportsFloat

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.usage import RequestUsage

from ...bus.failures import report_failure
from ...llm import CostSource, llm_called
from ..model_calls.cost import PART_FIELDS, cost_fields, valid_cost
from ..model_calls.frozen import make_frozen
from ..model_calls.token_usage import NO_USAGE, TokenUsage, add_optional
from .interruptions import Interrupted
from .price_list import list_price
from .seller_cost import seller_cost
from .usage import token_usage
from .usage_corrections import copy_of, corrected_usage

ResponsePriceFunction = Callable[[str, str, RequestUsage, ModelResponse], SupportsFloat | None]
PriceFunction = Callable[[str, str, RequestUsage], SupportsFloat | None] | ResponsePriceFunction
"""Returns the cost in USD of a usage, given the provider, the model and the usage; None where there is no price.

A function that takes a fourth argument is given the whole response, which says the tier, the URL and the time. The cost
is a number, or a `Cost` with its parts.
"""


@dataclass(frozen=True, kw_only=True)
class Billing:
    """The tokens and the cost in USD of one request, or of several of one call; it is not changed."""

    usage: TokenUsage = NO_USAGE
    cost: float | None = None
    cost_source: CostSource | None = None
    input_cost: float | None = None
    output_cost: float | None = None
    cache_read_cost: float | None = None
    cache_write_cost: float | None = None

    def __add__(self, other: Billing) -> Billing:
        """Return the sum; it is unpriced where one part is, and its cost is that of the others."""
        is_unpriced = "unpriced" in (self.cost_source, other.cost_source)
        return Billing(
            usage=self.usage + other.usage,
            cost=add_optional(self.cost, other.cost),
            cost_source="unpriced" if is_unpriced else self.cost_source or other.cost_source,
            **{name: add_optional(getattr(self, name), getattr(other, name)) for name in PART_FIELDS},
        )

    @property
    def costs(self) -> dict[str, Any]:
        """The cost, its source and its parts, under the names of the fields of `events.LLMCalled`."""
        return {
            "cost": self.cost,
            "cost_source": self.cost_source,
            "input_cost": self.input_cost,
            "output_cost": self.output_cost,
            "cache_read_cost": self.cache_read_cost,
            "cache_write_cost": self.cache_write_cost,
        }


NO_BILLING = Billing()


def billing_of(
    response: ModelResponse,
    messages: Iterable[ModelMessage],
    provider: str,
    model: str,
    price: PriceFunction | None,
    *,
    complete: bool,
    ask: Callable[..., Any] = call,
) -> Billing:
    """Return the billing of a response to ``messages``.

    What the seller says that it bills is the cost. Else the price function is asked, if there is one and all tokens
    were counted. Without either, nobody was asked, and the cost has no source. ``complete`` is False where the response
    broke off; ``ask`` calls the price function, by default as it is.
    """
    corrected = corrected_usage(response)
    usage = token_usage(response, corrected, messages, complete=complete)
    if (billed := valid_cost(seller_cost(response))) is not None:
        return make_frozen(Billing, {"usage": usage, **cost_fields(billed, "provider")})
    if price is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return make_frozen(Billing, {"usage": usage})
    try:
        if price is list_price:
            priced = ask(price, provider, model, corrected, response)
        else:
            priced = ask(with_response(price), provider, model, copy_of(corrected), response)  # it may change the usage
        fields = cost_fields(priced, "price_table")
    except Interrupted:
        fields = cost_fields(None, "price_table")
    except Exception as failure:  # the tokens are known all the same
        report_failure(llm_called.name, "pydantic_ai", failure)
        fields = cost_fields(None, "price_table")
    return make_frozen(Billing, {"usage": usage, **fields})


def with_response(price: PriceFunction) -> ResponsePriceFunction:
    """Return a price function that takes the response, of one that may not take it."""
    try:
        takes_it = takes_response(price)
    except TypeError:  # not hashable
        takes_it = takes_response.__wrapped__(price)
    if takes_it:
        return price  # type: ignore[return-value]  # it takes four
    return lambda provider, model, usage, _: price(provider, model, usage)  # type: ignore[call-arg]  # it takes three


@lru_cache(maxsize=64)
def takes_response(price: Callable[..., Any]) -> bool:
    """Return whether a price function takes a fourth argument; to read its signature takes longer than to ask it."""
    try:
        parameters = [*signature(price).parameters.values()]
    except (TypeError, ValueError):  # of a function that is written in C
        return False
    by_position = [
        each for each in parameters if each.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    ]
    return len(by_position) > 3 or any(each.kind is Parameter.VAR_POSITIONAL for each in parameters)
