"""A price function by the list of genai-prices, which an application installs if it wants costs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from .cost import NO_COST, OWN_SERVERS, Cost
from .cost_by_rates import plain_cost
from .token_usage import TokenUsage

log = logging.getLogger(__name__)

MAX_FOUND = 1024
_found: dict[tuple[str, str, str | None], tuple[Any, Any] | None] = {}
_found_in: Any = None


def list_price(provider: str, model: str, usage: TokenUsage) -> Cost | None:
    """Return the cost of a usage by the list of its provider.

    None is returned where genai-prices is not installed, or knows neither the provider nor the model: a model's name
    alone finds no price, since several sell it.
    """
    if provider in OWN_SERVERS:
        return NO_COST
    found = find_model(model, provider)
    if found is None:
        return None
    seller, priced_model = found
    known, now = _counts_of(usage), datetime.now(UTC)
    if (cost := plain_cost(priced_model, seller, known, now, {})) is not None:
        return cost
    try:
        counts = _usage_of(known)
        price = priced_model.calc_price(counts, seller, genai_request_timestamp=now)
    except ValueError as error:  # counts that contradict each other, such as more cached tokens than tokens
        log.warning("a call of %s cannot be priced: %s", model, type(error).__name__)
        return None
    return split_cost(counts, price)


def split_cost(counts: Any, price: Any) -> Cost:
    """Return a price of genai-prices with its parts: each is the price of the same usage where all else is free.

    Args:
        counts: The usage, of genai-prices or another one with its names.
        price: What ``calc_price`` of a model returned for it.
    """
    parts = {
        kind: _price_of_kind(counts, price, kind) if getattr(counts, f"cache_{kind}_tokens", 0) else Decimal(0)
        for kind in ("read", "write")
    }
    return Cost(
        price.total_price,
        input=price.input_price - parts["read"] - parts["write"],
        output=price.output_price,
        cache_read=parts["read"],
        cache_write=parts["write"],
    )


def find_model(model: str, provider: str, url: str | None = None) -> tuple[Any, Any] | None:
    """Return the seller and the model in the price list; None where it has not both. Misses are cached too."""
    global _found_in  # noqa: PLW0603  # the list may be replaced at run time: `genai_prices.UpdatePrices`
    try:
        from genai_prices.data_snapshot import get_snapshot  # at the time of use: few applications have it
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


def _counts_of(usage: TokenUsage) -> dict[str, int]:
    counts = {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "input_audio_tokens": usage.prompt_audio_tokens,
        "output_audio_tokens": usage.completion_audio_tokens,
    }
    return {name: count for name, count in counts.items() if count is not None}


def _usage_of(counts: Mapping[str, int]) -> Any:
    from genai_prices import Usage  # it is installed: a model was found in its list

    return Usage(**counts)


def _price_of_kind(counts: Any, price: Any, kind: str) -> Decimal:
    """Return what the tokens that were read from (``read``) or written to (``write``) the cache cost."""
    prices = {
        name: value if name.startswith("cache_") and kind in name.split("_") else Decimal(0)
        for name, value in vars(price.model_price).items()
        if value is not None
    }
    total: Decimal = type(price.model_price)(**prices).calc_price(counts)["total_price"]
    return total
