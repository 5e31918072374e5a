"""The providers that the bridge is tested with: what each one counts, charges and answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic_ai.models import Model

from tests.support import provider_models as models
from tests.support.chat_dialects import (
    AzureServer,
    DeepSeekServer,
    GroqServer,
    MistralServer,
    OpenRouterServer,
    PlainServer,
)
from tests.support.openai_server import OpenAIServer, Reply, fails, sends
from tests.support.provider_servers import AnthropicServer, GeminiServer, OllamaServer
from tests.support.responses_server import ResponsesServer

OPENAI_LIMITS = {"x-ratelimit-limit-requests": "500", "x-ratelimit-remaining-requests": "499"}
ANTHROPIC_LIMITS = {"anthropic-ratelimit-requests-limit": "50", "anthropic-ratelimit-requests-remaining": "49"}


@dataclass(frozen=True, kw_only=True)
class Provider:
    """A provider: its server, its model, how it refuses, what it counts, and what it charges."""

    server: Callable[[], Any]
    model: Callable[..., Model]
    """Makes its model of a server, and of how often the SDK retries by itself."""
    name: str
    """What its events call it."""
    limited: Reply
    """Its answer of status 429."""
    broken: Reply
    """Its answer of status 500."""
    headers: dict[str, str]
    """Its rate-limit headers."""
    response_model: str | None = None
    """What its answers call the model that is asked for; None where they have no name, or the adapter ignores it."""
    counts_cached: bool = True
    counts_reasoning: bool = True
    prices: tuple[float, float, float] | None = None
    """USD per million tokens of the prompt, of the prompt from the cache, and of the completion, in the provider's list
    as genai-prices has it; None: see ``cost``."""
    cost: float | None = None
    """What each answer says that it costs; None where it says nothing."""
    retries: bool = True
    """Whether its SDK retries by itself."""
    shows_requests: bool = True
    """Whether each request that its SDK sends is seen: not where that is over gRPC."""
    needs: str = ""
    """The package of its SDK, where that is not among the development tools."""


def refuses(status: int, body: bytes) -> Reply:
    """Return an answer with an error of a provider that has a form of its own for it."""
    return sends(body, status=status)


# What an error looks like: platform.openai.com/docs/guides/error-codes, docs.anthropic.com/en/api/errors,
# ai.google.dev/gemini-api/docs/troubleshooting, openrouter.ai/docs/api-reference/errors,
# docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors,
# docs.mistral.ai/api.
LIMITED = fails(429, "Rate limit reached", type="requests", code="rate_limit_exceeded")
BROKEN = fails(500, "The server had an error")
NO_LIMITS: dict[str, str] = {}

PROVIDERS: dict[str, Provider] = {
    "openai_chat": Provider(
        server=OpenAIServer,
        model=models.openai_chat,
        name="openai",
        limited=LIMITED,
        broken=BROKEN,
        headers=OPENAI_LIMITS,
        response_model="gpt-5-mini-2025-08-07",
        prices=(0.25, 0.025, 2.0),
    ),
    "openai_responses": Provider(
        server=ResponsesServer,
        model=models.openai_responses,
        name="openai",
        limited=LIMITED,
        broken=BROKEN,
        headers=OPENAI_LIMITS,
        response_model="gpt-5-mini-2025-08-07",
        prices=(0.25, 0.025, 2.0),
    ),
    "azure": Provider(
        server=AzureServer,
        model=models.azure,
        name="azure",
        limited=LIMITED,
        broken=BROKEN,
        headers=OPENAI_LIMITS,
        response_model="gpt-5-mini-2025-08-07",
        prices=(0.25, 0.025, 2.0),
    ),
    "anthropic": Provider(
        server=AnthropicServer,
        model=models.anthropic,
        name="anthropic",
        limited=refuses(429, b'{"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}'),
        broken=refuses(500, b'{"type": "error", "error": {"type": "api_error", "message": "unexpected"}}'),
        headers=ANTHROPIC_LIMITS,
        response_model="claude-haiku-4-5-20251001",
        prices=(1.0, 0.1, 5.0),
    ),
    "gemini": Provider(
        server=GeminiServer,
        model=models.gemini,
        retries=False,
        name="google",
        limited=refuses(429, b'{"error": {"code": 429, "message": "exhausted", "status": "RESOURCE_EXHAUSTED"}}'),
        broken=refuses(500, b'{"error": {"code": 500, "message": "unexpected", "status": "INTERNAL"}}'),
        headers=NO_LIMITS,
        response_model="gemini-2.5-flash",
        prices=(0.3, 0.03, 2.5),
    ),
    "openrouter": Provider(
        server=OpenRouterServer,
        model=models.openrouter,
        name="openrouter",
        limited=refuses(429, b'{"error": {"code": 429, "message": "Rate limit exceeded"}}'),
        broken=refuses(500, b'{"error": {"code": 500, "message": "Internal Server Error"}}'),
        headers=NO_LIMITS,
        response_model="openai/gpt-5-mini",
        cost=OpenRouterServer.cost,
    ),
    "deepseek": Provider(
        server=DeepSeekServer,
        model=models.deepseek,
        name="deepseek",
        limited=LIMITED,
        broken=BROKEN,
        headers=NO_LIMITS,
        response_model="deepseek-chat",
        prices=(0.27, 0.07, 1.1),
    ),
    "xai": Provider(
        server=models.xai_server,
        model=models.xai,
        retries=False,
        name="xai",
        limited=Reply(status=429),
        broken=Reply(status=500),
        headers=NO_LIMITS,
        cost=0.00123,
        shows_requests=False,
        needs="xai_sdk",
    ),
    "groq": Provider(
        server=GroqServer,
        model=models.groq,
        name="groq",
        limited=LIMITED,
        broken=BROKEN,
        headers=OPENAI_LIMITS,
        response_model="openai/gpt-oss-20b",
        prices=(0.075, 0.0375, 0.3),
        needs="groq",
    ),
    "mistral": Provider(
        server=MistralServer,
        model=models.mistral,
        retries=False,
        name="mistral",
        limited=refuses(429, b'{"message": "Requests rate limit exceeded", "request_id": "1"}'),
        broken=refuses(500, b'{"message": "Internal server error", "request_id": "1"}'),
        headers=NO_LIMITS,
        response_model="mistral-medium-latest",
        counts_reasoning=False,
        prices=(1.5, 0.15, 7.5),
        needs="mistralai",
    ),
    "bedrock": Provider(
        server=models.bedrock_server,
        model=models.bedrock,
        name="bedrock",
        limited=Reply(
            status=429, headers={"x-amzn-errortype": "ThrottlingException"}, body=b'{"message": "Too many requests"}'
        ),
        broken=Reply(
            status=500, headers={"x-amzn-errortype": "InternalServerException"}, body=b'{"message": "unexpected"}'
        ),
        headers=NO_LIMITS,
        counts_reasoning=False,
        prices=(0.06, 0.015, 0.24),
        needs="boto3",
    ),
    "ollama": Provider(
        server=OllamaServer,
        model=models.ollama,
        name="ollama",
        limited=fails(429, "too many requests", type="rate_limit_error"),
        broken=fails(500, "model runner has unexpectedly stopped", type="api_error"),
        headers=NO_LIMITS,
        response_model="qwen3:4b",
        counts_cached=False,
        counts_reasoning=False,
        cost=0.0,
    ),
    "plain": Provider(
        server=PlainServer,
        model=models.plain,
        name="lmstudio",
        limited=LIMITED,
        broken=BROKEN,
        headers=NO_LIMITS,
        response_model="gemma-3-4b",
        counts_cached=False,
        counts_reasoning=False,
    ),
}
