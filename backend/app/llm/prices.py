"""The cost of a model call in USD, by the price list of genai-prices; models that run on own machines cost nothing."""

from __future__ import annotations

from dataclasses import replace

from pydantic_ai.messages import ModelResponse
from pydantic_ai.usage import RequestUsage

from app.settings import Settings
from events.bridges.pydantic_ai import Cost, PriceFunction, list_price, own_server

from .model_names import check_seller

FREE_PROVIDERS = frozenset({"embedded", "ollama"})
"""Providers that send no bill: their cost is known to be 0, which differs from unknown."""


def price(provider: str, model: str, usage: RequestUsage, response: ModelResponse | None = None) -> float | None:
    """Return the cost of a call in USD, with its parts; None when the model's price is not known."""
    if provider in FREE_PROVIDERS:
        return own_server(provider, model, usage)
    return list_price(provider, model, usage, response)


def price_function(settings: Settings) -> PriceFunction:
    """Return what prices the calls of the settings' models.

    A server of one's own, which SPARKLIO_LLM_BASE_URL declares, is nobody's list price: its calls cost nothing, unless
    SPARKLIO_LLM_PRICES names the seller whose prices apply after all.

    Raises:
        ModelUnavailable: The price list does not know the seller.
    """
    if settings.llm_base_url is None:
        return price
    if (seller := settings.llm_prices) is None:
        return own_server
    check_seller(seller)

    def price_as_sold(
        provider: str, model: str, usage: RequestUsage, response: ModelResponse | None = None
    ) -> Cost | None:
        if provider in FREE_PROVIDERS:
            return own_server(provider, model, usage)
        # Not by the address of the server, which may be somebody else's.
        return list_price(seller, model, usage, None if response is None else replace(response, provider_url=None))

    return price_as_sold
