"""Models of every provider, each of its own SDK, in front of a loopback server of the tests.

``retries`` are those of the SDK, where it has any: Google's and Mistral's do none unless they are told how.
SDKs that may be missing, or take a second to import, are imported where a model is made of them. xAI's speaks gRPC,
Bedrock's boto3, Groq's and Mistral's their own; OpenRouter, DeepSeek, Azure, Ollama and a plain server are reached by
OpenAI's, as pydantic-ai does.
"""

from __future__ import annotations

from typing import Any

from openai import AsyncAzureOpenAI, AsyncOpenAI
from pydantic_ai.models import Model
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.models.openrouter import OpenRouterModel
from pydantic_ai.providers.azure import AzureProvider
from pydantic_ai.providers.deepseek import DeepSeekProvider
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider
from pydantic_ai.providers.openrouter import OpenRouterProvider

from tests.support.chat_dialects import GroqServer, MistralServer, OpenRouterServer
from tests.support.openai_server import OpenAIServer
from tests.support.provider_servers import AnthropicServer, GeminiServer


def openai_client(base_url: str, retries: int) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=base_url, api_key="none", max_retries=retries)


def openai_chat(server: OpenAIServer, retries: int = 0) -> Model:
    return OpenAIChatModel("gpt-5-mini", provider=OpenAIProvider(openai_client=openai_client(server.base_url, retries)))


def openai_responses(server: OpenAIServer, retries: int = 0) -> Model:
    return OpenAIResponsesModel(
        "gpt-5-mini", provider=OpenAIProvider(openai_client=openai_client(server.base_url, retries))
    )


def azure(server: OpenAIServer, retries: int = 0) -> Model:
    endpoint = server.base_url.removesuffix("/v1")
    client = AsyncAzureOpenAI(
        azure_endpoint=endpoint,
        api_key="none",
        api_version="2024-10-21",
        max_retries=retries,
    )
    return OpenAIChatModel("gpt-5-mini", provider=AzureProvider(openai_client=client))


def anthropic(server: AnthropicServer, retries: int = 0) -> Model:
    from anthropic import AsyncAnthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    client = AsyncAnthropic(base_url=server.address, api_key="none", max_retries=retries)
    return AnthropicModel("claude-haiku-4-5", provider=AnthropicProvider(anthropic_client=client))


def gemini(server: GeminiServer, retries: int = 0) -> Model:
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.providers.google import GoogleProvider

    provider = GoogleProvider(base_url=server.address, api_key="none")
    return GoogleModel("gemini-2.5-flash", provider=provider)


def openrouter(server: OpenRouterServer, retries: int = 0) -> Model:
    provider = OpenRouterProvider(openai_client=openai_client(server.api_url, retries))
    return OpenRouterModel("openai/gpt-5-mini", provider=provider)


def deepseek(server: OpenAIServer, retries: int = 0) -> Model:
    provider = DeepSeekProvider(openai_client=openai_client(server.base_url, retries))
    return OpenAIChatModel("deepseek-chat", provider=provider)


def xai(server: OpenAIServer, retries: int = 0) -> Model:
    from pydantic_ai.models.xai import XaiModel
    from pydantic_ai.providers.xai import XaiProvider
    from xai_sdk import AsyncClient

    options = [("grpc.enable_retries", 1 if retries else 0)]
    client = AsyncClient(api_key="none", api_host=server.base_url, use_insecure_channel=True, channel_options=options)
    return XaiModel("grok-4-fast", provider=XaiProvider(xai_client=client))


def xai_server() -> Any:
    from tests.support.xai_server import XaiServer

    return XaiServer()


def groq(server: GroqServer, retries: int = 0) -> Model:
    from groq import AsyncGroq
    from pydantic_ai.models.groq import GroqModel
    from pydantic_ai.providers.groq import GroqProvider

    client = AsyncGroq(base_url=server.address, api_key="none", max_retries=retries)
    return GroqModel("openai/gpt-oss-20b", provider=GroqProvider(groq_client=client))


def mistral(server: MistralServer, retries: int = 0) -> Model:
    from pydantic_ai.models.mistral import MistralModel
    from pydantic_ai.providers.mistral import MistralProvider

    provider = MistralProvider(base_url=server.address, api_key="none")
    return MistralModel("mistral-medium-latest", provider=provider)


def bedrock_server() -> Any:
    from tests.support.bedrock_server import BedrockServer

    return BedrockServer()


def bedrock(server: Any, retries: int = 0) -> Model:
    import boto3
    from botocore.config import Config
    from pydantic_ai.models.bedrock import BedrockConverseModel
    from pydantic_ai.providers.bedrock import BedrockProvider

    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=server.address,
        region_name="us-east-1",
        aws_access_key_id="none",
        aws_secret_access_key="none",
        config=Config(retries={"total_max_attempts": 1 + retries}),
    )
    return BedrockConverseModel("us.amazon.nova-lite-v1:0", provider=BedrockProvider(bedrock_client=client))


def ollama(server: OpenAIServer, retries: int = 0) -> Model:
    return OllamaModel("qwen3:4b", provider=OllamaProvider(openai_client=openai_client(server.base_url, retries)))


def plain(server: OpenAIServer, retries: int = 0) -> Model:
    provider = OpenAICompatibleProvider("lmstudio", openai_client=openai_client(server.base_url, retries))
    return OpenAIChatModel("gemma-3-4b", provider=provider)
