"""The cost of a model call: by the table of genai-prices, 0 on own machines, and unknown without a price."""

from __future__ import annotations

import logging

import pytest
from pydantic_ai.messages import ModelResponse
from pydantic_ai.usage import RequestUsage

from app.llm.model_errors import ModelUnavailable
from app.llm.prices import price, price_function
from app.settings import Settings

MILLION = 10**6
ANSWER = ModelResponse(parts=[], provider_name="openai", provider_url="http://localhost:8080/v1")


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


def test_a_server_of_ones_own_takes_nobodys_prices() -> None:
    """A local server that serves a model under OpenAI's name for it sends no bill all the same."""
    own = price_function(Settings(llm="openai:gpt-4o-mini", llm_base_url="http://localhost:8080"))
    assert own("openai", "gpt-4o-mini", RequestUsage(input_tokens=MILLION), ANSWER) == 0  # type: ignore[call-arg]


@pytest.mark.parametrize(("provider", "usd"), [("openai", 0.15), ("ollama", 0), ("embedded", 0)])
def test_a_setting_says_whose_prices_apply_to_it_after_all(provider: str, usd: float) -> None:
    priced = price_function(
        Settings(llm="openai:gpt-4o-mini", llm_base_url="http://localhost:8080", llm_prices="openai")
    )
    cost = priced(provider, "gpt-4o-mini", RequestUsage(input_tokens=MILLION), ANSWER)  # type: ignore[call-arg]
    assert cost == pytest.approx(usd)


def test_without_a_server_of_ones_own_the_list_of_each_provider_applies() -> None:
    assert price_function(Settings(llm="openai:gpt-4o-mini", llm_prices="anthropic")) is price


def test_prices_of_a_seller_that_the_list_does_not_know_are_refused() -> None:
    with pytest.raises(ModelUnavailable, match="SPARKLIO_LLM_PRICES=nobody is not a seller"):
        price_function(Settings(llm="openai:any", llm_base_url="http://localhost:8080", llm_prices="nobody"))


def test_counts_that_contradict_each_other_have_no_price(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert price("openai", "gpt-4o-mini", RequestUsage(input_tokens=1, cache_read_tokens=2)) is None
    assert "cannot be priced" in caplog.text
