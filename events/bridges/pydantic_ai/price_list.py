"""The cost of a response by the price list of genai-prices, which comes with pydantic-ai; in parts by kind of token."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pydantic_ai.messages import ModelResponse
from pydantic_ai.usage import RequestUsage

from ..model_calls.cost import NO_COST, OWN_SERVERS, Cost
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
    at = response.timestamp if response is not None else datetime.now(UTC)
    try:
        price = priced_model.calc_price(usage, seller, genai_request_timestamp=at, price_context=context)
        return split_cost(usage, price)
    except ValueError as error:  # counts that contradict each other, such as more cached tokens than tokens
        log.warning("a call of %s cannot be priced: %s", model, type(error).__name__)
        return None


def price_context(response: ModelResponse) -> dict[str, str]:
    """Return what the response says of its tier, its speed and its processing, in the words of the price list."""
    context = {name: value for name, value in (response.provider_details or {}).items() if isinstance(value, str)}
    # Google Cloud's word for the tier (https://cloud.google.com/vertex-ai/generative-ai/docs/flex-paygo).
    for tier in ("flex", "priority"):
        if tier in context.get("traffic_type", "").lower():
            context.setdefault("service_tier", tier)
    if context.get("service_tier") == "batch" or reported_by(response).get("service_tier") == "batch":
        context.setdefault("processing", "batch")
    return context


def split_cost(usage: RequestUsage, price: Any) -> Cost:
    """Return a price of genai-prices with its parts: each is the price of the same usage where all else is free."""
    parts = {
        kind: price_of_kind(usage, price, kind) if getattr(usage, f"cache_{kind}_tokens", 0) else Decimal(0)
        for kind in ("read", "write")
    }
    return Cost(
        price.total_price,
        input=price.input_price - parts["read"] - parts["write"],
        output=price.output_price,
        cache_read=parts["read"],
        cache_write=parts["write"],
    )


def price_of_kind(usage: RequestUsage, price: Any, kind: str) -> Decimal:
    """Return what the tokens that were read from (``read``) or written to (``write``) the cache cost."""
    prices = {
        name: value if name.startswith("cache_") and kind in name.split("_") else Decimal(0)
        for name, value in vars(price.model_price).items()
        if value is not None
    }
    total: Decimal = type(price.model_price)(**prices).calc_price(usage)["total_price"]
    return total


_found: dict[tuple[str, str, str | None], tuple[Any, Any] | None] = {}
_found_in: Any = None
MAX_FOUND = 1024


def find_model(model: str, provider: str, url: str | None) -> tuple[Any, Any] | None:
    """Return the seller and the model in the price list; None where it has not both. Misses are cached too."""
    global _found_in  # noqa: PLW0603  # the list may be replaced at run time: `genai_prices.UpdatePrices`
    try:
        from genai_prices.data_snapshot import get_snapshot  # at the time of use
    except ImportError:
        return None
    snapshot = get_snapshot()
    if snapshot is not _found_in or len(_found) >= MAX_FOUND:
        _found.clear()
        _found_in = snapshot
    key = (model, provider, url)
    if key not in _found:
        _found[key] = search_snapshot(snapshot, *key)
    return _found[key]


def search_snapshot(snapshot: Any, model: str, provider: str, url: str | None) -> tuple[Any, Any] | None:
    """Return the seller and the model by the seller's URL, else by the provider's name."""
    references: list[Mapping[str, str | None]] = []
    if url and provider != "openai-decisions":  # it shares OpenAI's URL
        references.append({"provider_id": None, "provider_api_url": url})
    if provider and "compatible" not in provider:  # such a name says which protocol is spoken, and not who sells
        references.append({"provider_id": provider, "provider_api_url": None})
    for reference in references:
        try:
            found: tuple[Any, Any] = snapshot.find_provider_model(model, None, **reference)
        except LookupError:
            continue
        return found
    return None
