"""The cost of a response by the price list of genai-prices, which comes with pydantic-ai; in parts by kind of token."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from pydantic_ai.messages import ModelResponse
from pydantic_ai.usage import RequestUsage

from ..model_calls.cost import NO_COST, OWN_SERVERS, Cost
from ..model_calls.cost_by_rates import plain_cost
from ..model_calls.token_prices import find_model, split_cost
from .reported import reported_by

log = logging.getLogger(__name__)


def own_server(_provider: str, _model: str, _usage: RequestUsage, _response: ModelResponse | None = None) -> Cost:
    """Return a cost of 0, as the price function of a server of one's own."""
    return NO_COST


def list_price(provider: str, model: str, usage: RequestUsage, response: ModelResponse | None = None) -> Cost | None:
    """Return the cost of a usage by the list of the seller, in the tier and at the time that the response says.

    The seller is the one whose URL answered, else the one of the provider's name; a model's name alone finds none.
    None is returned where genai-prices is not installed, or does not know the seller or the model.
    """
    if provider in OWN_SERVERS:
        return NO_COST
    url = getattr(response, "provider_url", None)
    if (found := find_model(model, provider, url)) is None:
        return None
    seller, priced_model = found
    context = {} if response is None else price_context(response)
    at = getattr(response, "timestamp", None) or datetime.now(UTC)  # as the list takes it
    try:
        if type(usage) is RequestUsage:  # one that is derived from it may compute its counts
            counts = {**vars(usage)}
            counts.pop("details", None)
            cost = plain_cost(priced_model, seller, counts, at, context)
            if cost is not None:
                return cost
        price = priced_model.calc_price(usage, seller, genai_request_timestamp=at, price_context=context)
        return split_cost(usage, price)
    except ValueError as error:  # counts that contradict each other, such as more cached tokens than tokens
        log.warning("a call of %s cannot be priced: %s", model, type(error).__name__)
        return None


def price_context(response: ModelResponse) -> dict[str, str]:
    """Return what the response says of its tier, its speed and its processing, in the words of the price list."""
    details = response.provider_details or {}
    context = {name: said for name, said in details.items() if isinstance(said, str) and name != "finish_reason"}
    if (traffic := context.get("traffic_type")) is not None:
        # Google Cloud's word for the tier (https://cloud.google.com/vertex-ai/generative-ai/docs/flex-paygo).
        for tier in ("flex", "priority"):
            if tier in traffic.lower():
                context.setdefault("service_tier", tier)
    if context.get("service_tier") == "batch" or reported_by(response).get("service_tier") == "batch":
        context.setdefault("processing", "batch")
    return context
