"""The price function by the list of genai-prices: the parts add up, and a stranger has no price."""

from __future__ import annotations

import sys

import pytest
from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot

from events.bridges.model_calls import token_prices
from events.bridges.model_calls.token_prices import find_model, list_price
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


def test_the_address_says_who_sells_but_for_a_service_that_shares_it() -> None:
    url = "https://api.openai.com/v1"
    assert find_model("gpt-4o", "mine", url) is not None
    assert find_model("gpt-4o", "mine") is None
    assert find_model("gpt-4o", "openai", "https://example.com/v1") is not None
    assert find_model("gpt-4o", "openai-decisions", url) is None


def test_what_was_found_is_kept_for_one_list_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_prices, "MAX_FOUND", 3)
    token_prices._found.clear()
    sizes = []
    for number in range(5):
        find_model(f"none-{number}", "openai")
        sizes.append(len(token_prices._found))
    assert sizes == [1, 2, 3, 1, 2]
    assert find_model("gpt-4o", "openai") is find_model("gpt-4o", "openai") is not None
    set_custom_snapshot(DataSnapshot([], from_auto_update=False))
    try:
        assert find_model("gpt-4o", "openai") is None
    finally:
        set_custom_snapshot(None)
    assert find_model("gpt-4o", "openai") is not None


def test_a_server_of_ones_own_costs_nothing() -> None:
    assert list_price("ollama", "any", counted_usage(10, 1)) == 0.0


def test_without_the_list_there_is_no_price(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices.data_snapshot", None)
    assert list_price("openai", "gpt-4o", counted_usage(10, 1)) is None
