"""The check of what the settings say of models, before any SDK is loaded."""

from __future__ import annotations

import os
from difflib import get_close_matches

from app.settings import Settings

from .model_errors import ModelUnavailable
from .provider_keys import KEY_VARIABLES, OTHER_PROVIDERS

BASE_URL_PROVIDERS = {"openai", "openai-chat", "openai-responses", "ollama"}
"""Providers whose protocols a server of one's own may speak."""

NAME_FORMATS = "embedded, or provider:model as in openai:gpt-4o-mini, ollama:qwen3:4b, anthropic:..."


def setting_of(name: str, settings: Settings) -> str:
    """Return the setting that names a model."""
    return "SPARKLIO_LLM" if name == settings.llm else "SPARKLIO_LLM_FALLBACKS"


def check_models(settings: Settings) -> None:
    """Check names of models, keys of their providers in the environment, the server's URL and the seller of prices.

    Raises:
        ModelUnavailable: One of them is wrong or missing; the message names the setting, or the key's variable.
    """
    for name in settings.models:
        if name not in {"embedded", "test"}:  # the second is pydantic-ai's own, without a provider
            _check_model(name, setting_of(name, settings), settings.llm_base_url)
    if settings.llm_base_url and settings.llm_prices:
        check_seller(settings.llm_prices)


def _check_model(name: str, setting: str, base_url: str | None) -> None:
    provider, _, model = name.partition(":")
    known = [*KEY_VARIABLES, *OTHER_PROVIDERS]
    if not model:
        missing = "model" if ":" in name else "provider"
        raise ModelUnavailable(
            f"{setting}={name} cannot be used: no {missing} is named; {setting} takes {NAME_FORMATS}"
        )
    if provider not in known and not provider.startswith("gateway/"):
        alike = get_close_matches(provider, known, n=1)
        advice = f"did you mean {alike[0]}:{model}? " if alike else ""
        raise ModelUnavailable(
            f"{setting}={name} cannot be used: {provider} is no provider; {advice}{setting} takes {NAME_FORMATS}"
        )
    if base_url and provider not in BASE_URL_PROVIDERS:
        raise ModelUnavailable(
            f"SPARKLIO_LLM_BASE_URL goes with openai: and ollama: models, not with {setting}={name}: unset it, or"
            f" have {setting} name openai:... if the server speaks OpenAI's protocol"
        )
    variables = KEY_VARIABLES.get(provider, ())
    has_own_server = base_url or (provider.startswith("openai") and os.environ.get("OPENAI_BASE_URL"))
    if variables and not has_own_server and not any(map(os.environ.get, variables)):
        raise ModelUnavailable(
            f"{setting}={name} needs a key of {provider}: set {' or '.join(variables)} in the environment or in .env"
        )


def check_seller(seller: str) -> None:
    """Check that the price list knows a seller.

    Raises:
        ModelUnavailable: It does not.
    """
    from genai_prices.data_snapshot import find_provider_by_id, get_snapshot  # it loads all prices

    if find_provider_by_id(get_snapshot().providers, seller) is None:
        raise ModelUnavailable(
            f"SPARKLIO_LLM_PRICES={seller} is not a seller of the price list, as openai or openrouter is"
        )
