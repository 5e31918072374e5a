"""The models of each provider, with the provider's real SDK, in front of a loopback server of the tests.

An SDK is imported with the first model of its provider: each worker collects the tests, and few run them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic_ai.models import Model

from tests.support.openai_server import OpenAIServer
from tests.support.provider_servers import AnthropicServer, GeminiServer, OllamaServer

SERVERS: dict[str, Callable[[], OpenAIServer]] = {
    "openai": OpenAIServer,
    "anthropic": AnthropicServer,
    "gemini": GeminiServer,
    "ollama": OllamaServer,
}
PROVIDERS = tuple(SERVERS)


def model_at(provider: str, server: Any, client: Any) -> Model:
    """Return a provider's model that sends its requests to ``server`` through the HTTP client ``client``."""
    match provider:
        case "openai":
            from pydantic_ai.models.openai import OpenAIChatModel
            from pydantic_ai.providers.openai import OpenAIProvider

            openai = OpenAIProvider(base_url=server.base_url, api_key="none", http_client=client)
            return OpenAIChatModel("gpt-4o-mini", provider=openai)
        case "anthropic":
            from pydantic_ai.models.anthropic import AnthropicModel
            from pydantic_ai.providers.anthropic import AnthropicProvider

            anthropic = AnthropicProvider(base_url=server.address, api_key="none", http_client=client)
            return AnthropicModel("claude-haiku-4-5", provider=anthropic)
        case "gemini":
            from pydantic_ai.models.google import GoogleModel
            from pydantic_ai.providers.google import GoogleProvider

            google = GoogleProvider(base_url=server.address, api_key="none", http_client=client)
            return GoogleModel("gemini-2.5-flash", provider=google)
        case _:
            from pydantic_ai.models.ollama import OllamaModel
            from pydantic_ai.providers.ollama import OllamaProvider

            return OllamaModel("qwen3:4b", provider=OllamaProvider(base_url=server.base_url, http_client=client))
