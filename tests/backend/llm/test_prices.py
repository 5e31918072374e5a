"""The cost of a model call: by the table of genai-prices, 0 on own machines, and unknown without a price."""

from __future__ import annotations

import logging

import pytest
from pydantic_ai.usage import RequestUsage

from app.llm import prices
from app.llm.prices import price

MILLION = 10**6


# What the providers' price lists say, in USD a million tokens.
# fmt: off
LISTED = (
    ("openai",    "gpt-4o-mini",      RequestUsage(input_tokens=MILLION),                             0.15),
    ("openai",    "gpt-4o-mini",      RequestUsage(output_tokens=MILLION),                            0.60),
    ("openai",    "gpt-4o-mini",      RequestUsage(input_tokens=MILLION, cache_read_tokens=MILLION),  0.075),
    ("anthropic", "claude-haiku-4-5", RequestUsage(input_tokens=MILLION),                             1.00),
    ("anthropic", "claude-haiku-4-5", RequestUsage(output_tokens=MILLION),                            5.00),
    ("anthropic", "claude-haiku-4-5", RequestUsage(input_tokens=MILLION, cache_read_tokens=MILLION),  0.10),
    ("anthropic", "claude-haiku-4-5", RequestUsage(input_tokens=MILLION, cache_write_tokens=MILLION), 1.25),
    ("google",    "gemini-2.5-flash", RequestUsage(input_tokens=MILLION),                             0.30),
    ("google",    "gemini-2.5-flash", RequestUsage(output_tokens=MILLION),                            2.50),
)
# fmt: on


@pytest.mark.parametrize(
    ("provider", "model", "usage", "usd"),
    LISTED,
)
def test_a_call_costs_what_the_providers_list_says(provider: str, model: str, usage: RequestUsage, usd: float) -> None:
    assert price(provider, model, usage) == pytest.approx(usd)


@pytest.mark.parametrize("provider", ["embedded", "ollama"])
def test_a_free_provider_costs_nothing_whatever_the_model(provider: str) -> None:
    assert price(provider, "gpt-4o-mini", RequestUsage(input_tokens=MILLION)) == 0


def test_an_unknown_model_has_no_price() -> None:
    assert price("openai", "home-made", RequestUsage(input_tokens=1)) is None
    assert price("nobody", "nothing", RequestUsage(input_tokens=1)) is None


def test_a_model_is_looked_up_once_found_or_not() -> None:
    prices._find.cache_clear()
    for _ in range(3):
        price("openai", "gpt-4o-mini", RequestUsage(input_tokens=1))
        price("openai", "home-made", RequestUsage(input_tokens=1))
    assert (prices._find.cache_info().misses, prices._find.cache_info().hits) == (2, 4)


def test_counts_that_contradict_each_other_have_no_price(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert price("openai", "gpt-4o-mini", RequestUsage(input_tokens=1, cache_read_tokens=2)) is None
    assert "cannot be priced" in caplog.text
