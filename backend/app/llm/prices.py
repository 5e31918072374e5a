"""The cost of a model call in USD, by the price table of genai-prices; models of one's own machines cost nothing."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from genai_prices.data_snapshot import get_snapshot
from pydantic_ai.usage import RequestUsage

FREE_PROVIDERS = frozenset({"embedded", "ollama"})
"""Providers that send no bill: their cost is known to be 0, which differs from unknown."""

log = logging.getLogger(__name__)


def price(provider: str, model: str, usage: RequestUsage) -> float | None:
    """Return the cost of a call in USD; None when the model's price is not known."""
    if provider in FREE_PROVIDERS:
        return 0.0
    if (found := _find(provider, model)) is None:
        return None
    priced_provider, priced_model = found
    try:
        calculation = priced_model.calc_price(usage, priced_provider, genai_request_timestamp=datetime.now(UTC))
    except ValueError as error:  # counts that contradict each other, such as more cached tokens than tokens
        log.warning("a call of %s cannot be priced: %s", model, type(error).__name__)
        return None
    return float(calculation.total_price)


@lru_cache(maxsize=256)
def _find(provider: str, model: str) -> tuple[Any, Any] | None:
    # It searches hundreds of models by rules; misses are cached too.
    try:
        return get_snapshot().find_provider_model(model, None, provider, None)
    except LookupError:
        return None
