"""Which model is asked, and whose it is."""

from __future__ import annotations

from typing import Any

import pytest

from events.bridges.langchain.model_names import model_name, provider_name


@pytest.mark.parametrize(
    ("said", "settings", "name"),
    [
        ("openai", {}, "openai"),
        ("openai", {"openai_api_base": "https://api.openai.com/v1"}, "openai"),
        ("openai", {"openai_api_base": "https://openrouter.ai/api/v1"}, "openrouter"),
        ("openai", {"openai_api_base": "http://127.0.0.1:1/v1"}, "openai-compatible"),
        ("anthropic", {"anthropic_api_url": "http://127.0.0.1:1"}, "anthropic-compatible"),
        ("anthropic", {"anthropic_api_url": "https://api.anthropic.com"}, "anthropic"),
        ("azure", {"openai_api_base": "http://127.0.0.1:1"}, "azure"),
        ("google_genai", {}, "google"),
        ("amazon_bedrock", {}, "bedrock"),
        ("groq", {}, "groq"),
        (None, {}, "unknown"),
    ],
)
def test_providers_have_the_names_that_other_bridges_give_them(said: Any, settings: Any, name: str) -> None:
    assert provider_name({"ls_provider": said}, {"kwargs": settings}) == name


def test_a_model_that_cannot_be_stored_has_no_settings() -> None:
    assert provider_name({"ls_provider": "openai"}, None) == "openai"
    assert provider_name({"ls_provider": "openai"}, {"kwargs": None}) == "openai"


def test_a_model_is_named_by_its_metadata_or_by_what_it_is_asked_with() -> None:
    assert model_name({"ls_model_name": "a"}, {"model": "b"}) == "a"
    assert model_name({}, {"model": "b"}) == "b"
    assert model_name({}, {"model_name": "c"}) == "c"
    assert model_name({}, {}) == "unknown"
