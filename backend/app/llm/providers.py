"""The models of providers, by pydantic-ai's names for them (``openai:gpt-4o-mini``)."""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import urlsplit

import httpx2
from pydantic_ai.exceptions import UserError
from pydantic_ai.models import Model, infer_model
from pydantic_ai.providers import Provider, infer_provider, infer_provider_class

from .model_errors import ModelUnavailable

SHARED_CLIENT_PROVIDERS = {"openai", "openai-chat", "openai-responses", "anthropic", "google"}
"""Providers that are given our HTTP client, whose hooks read the rate limits in the headers of responses."""

DEFAULT_OLLAMA_URL = "http://localhost:11434/v1"


def build_provider_model(
    name: str, base_url: str | None, client: httpx2.AsyncClient, setting: str = "SPARKLIO_LLM"
) -> Model:
    """Return the model of a pydantic-ai name, such as ``openai:gpt-4o-mini``, which `check_models` has checked.

    Args:
        name: Provider and model.
        base_url: The URL of a server of one's own; None for the provider's.
        client: The HTTP client of those providers that take one.
        setting: The setting that names the model, for the error's message.

    Raises:
        ModelUnavailable: The name, a key or a package is wrong or missing.
    """
    provider_name, _, model_name = name.partition(":")
    if base_url and provider_name == "openai":
        # OpenAI's newer Responses protocol is served by OpenAI alone; other servers speak the chat protocol.
        name = f"openai-chat:{model_name}"

    def provider_at(kind: str, *url: str) -> Provider[Any]:
        provider_class: Any = infer_provider_class(kind)
        provider: Provider[Any] = provider_class(*url, http_client=client)
        return provider

    def build_provider(kind: str) -> Provider[Any]:
        # By the names of their classes: to import one imports its SDK, which takes a second.
        if kind == "ollama":
            url = base_url or os.environ.get("OLLAMA_BASE_URL") or DEFAULT_OLLAMA_URL
            return provider_at(kind, with_api_path(url))
        if base_url:
            return provider_at("openai", with_api_path(base_url))
        if kind in SHARED_CLIENT_PROVIDERS:
            return provider_at(kind)
        return infer_provider(kind)

    try:
        return infer_model(name, build_provider)
    except (ImportError, UserError, ValueError) as error:
        raise ModelUnavailable(f"{setting}={name} cannot be used: {clean_message(error)}") from None


def with_api_path(base_url: str) -> str:
    """Return a URL with the path ``/v1`` where it has no path; OpenAI-compatible servers and Ollama use it."""
    return base_url if urlsplit(base_url).path.strip("/") else f"{base_url.rstrip('/')}/v1"


def clean_message(error: Exception) -> str:
    """Return pydantic-ai's message in one line, without its advice for programmers: classes, and a model for tests."""
    message = " ".join(str(error).split()).split(" To try Pydantic AI")[0]
    return re.sub(r" or pass it via `[^`]*`", "", message).rstrip(".")
