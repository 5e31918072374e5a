"""What a model call costs in USD: by genai-prices, whose table comes with the package; models at home cost nothing."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from genai_prices.data_snapshot import get_snapshot
from pydantic_ai.usage import RequestUsage

LOCAL = frozenset({"embedded", "ollama"})
"""Providers that nobody bills for: 0 on purpose, which is not the same as unknown."""

log = logging.getLogger(__name__)


def price(provider: str, model: str, usage: RequestUsage) -> float | None:
    """Give the cost of a call; None where nobody knows a price of the model."""
    if provider in LOCAL:
        return 0.0
    if (found := _look_up(provider, model)) is None:
        return None
    seller, sold = found
    try:
        bill = sold.calc_price(usage, seller, genai_request_timestamp=datetime.now(UTC))
    except ValueError as reason:  # counts that contradict each other, such as more cached tokens than tokens
        log.warning("a call of %s cannot be priced: %s", model, type(reason).__name__)
        return None
    return float(bill.total_price)


@lru_cache(maxsize=256)
def _look_up(provider: str, model: str) -> tuple[Any, Any] | None:
    # A search through hundreds of models by rules; the misses are remembered too.
    try:
        return get_snapshot().find_provider_model(model, None, provider, None)
    except LookupError:
        return None
