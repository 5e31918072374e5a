"""Which model is asked, and whose, by the name that LiteLLM is given."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from events.bridges.litellm.functions import AskedModel, asked_model, model_argument


@pytest.fixture(autouse=True)
def _lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two lists that LiteLLM has, with a few of their entries."""
    lists = SimpleNamespace(
        provider_list=["openai", "azure", "anthropic", "gemini", "together_ai", "vertex_ai", "openrouter"],
        model_cost={
            "gpt-4o-mini": {"litellm_provider": "openai"},
            "gemini-2.5-flash": {"litellm_provider": "vertex_ai-language-models"},
        },
    )
    monkeypatch.setitem(sys.modules, "litellm", lists)


# fmt: off
NAMES: tuple[tuple[str, dict[str, Any], str, str], ...] = (
    ("openai/gpt-4o-mini",              {},                                     "gpt-4o-mini",        "openai"),
    ("gpt-4o-mini",                     {},                                     "gpt-4o-mini",        "openai"),
    ("gemini/gemini-2.5-flash",         {},                                     "gemini-2.5-flash",   "google"),
    ("gemini-2.5-flash",                {},                                     "gemini-2.5-flash",   "google-vertex"),
    ("together_ai/meta/llama-3",        {},                                     "meta/llama-3",       "together"),
    ("openrouter/openai/gpt-4o",        {},                                     "openai/gpt-4o",      "openrouter"),
    ("meta/llama-3",                    {"custom_llm_provider": "together_ai"}, "meta/llama-3",       "together"),
    ("together_ai/meta",                {"custom_llm_provider": "together_ai"}, "meta",               "together"),
    ("openai/gpt-4o",                   {"custom_llm_provider": "openrouter"},  "openai/gpt-4o",      "openrouter"),
    ("mine",                            {"api_base": "https://api.x.ai/v1"},    "mine",               "xai"),
    ("mine",                            {"api_base": "http://127.0.0.1:8000"},  "mine",               "unknown"),
    ("mine",                            {},                                     "mine",               "unknown"),
    ("",                                {},                                     "",                   "unknown"),
)
# fmt: on


@pytest.mark.parametrize(("name", "options", "model", "provider"), NAMES)
def test_a_name_stands_for_a_model_of_a_provider(name: str, options: dict[str, Any], model: str, provider: str) -> None:
    assert asked_model(name, options) == AskedModel(model, provider)


def test_the_model_is_an_argument_by_position_or_by_name() -> None:
    assert model_argument(1, ("prompt", "m"), {}) == "m"
    assert model_argument(1, ("prompt",), {"model": "m"}) == "m"
    assert model_argument(0, (), {"model": 3}) == ""
