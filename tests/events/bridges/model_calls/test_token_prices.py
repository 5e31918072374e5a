"""The price function by the list of genai-prices: the parts add up, and a stranger has no price."""

from __future__ import annotations

import sys

import pytest

from events.bridges.model_calls.token_prices import list_price
from events.bridges.model_calls.token_usage import counted_usage


def test_the_parts_of_a_cost_add_up_to_it() -> None:
    cost = list_price(
        "anthropic", "claude-sonnet-4-5", counted_usage(1000, 100, cache_read_tokens=600, cache_write_tokens=200)
    )
    assert cost is not None
    parts = (cost.input, cost.output, cost.cache_read, cost.cache_write)
    assert all(part is not None and part > 0 for part in parts)
    assert sum(part for part in parts if part is not None) == pytest.approx(cost)


def test_cached_tokens_are_cheaper() -> None:
    plain = list_price("openai", "gpt-4o", counted_usage(1000, 10))
    cached = list_price("openai", "gpt-4o", counted_usage(1000, 10, cache_read_tokens=1000))
    assert plain is not None
    assert cached is not None
    assert 0 < cached < plain
    assert (cached.input, plain.cache_read) == (0.0, 0.0)


def test_an_embedding_has_a_price() -> None:
    cost = list_price("openai", "text-embedding-3-small", counted_usage(1_000_000, None))
    assert cost == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("provider", "model"), [("openai", "none-of-theirs"), ("nobody", "gpt-4o"), ("openai-compatible", "gpt-4o")]
)
def test_who_is_not_in_the_list_has_no_price(provider: str, model: str) -> None:
    assert list_price(provider, model, counted_usage(10, 1)) is None
    assert list_price(provider, model, counted_usage(10, 1)) is None, "and it is remembered"


def test_a_server_of_ones_own_costs_nothing() -> None:
    assert list_price("ollama", "any", counted_usage(10, 1)) == 0.0


def test_without_the_list_there_is_no_price(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices.data_snapshot", None)
    assert list_price("openai", "gpt-4o", counted_usage(10, 1)) is None
