"""Which functions of LiteLLM are calls to a model, which model they ask, and whose.

Source: https://docs.litellm.ai/docs/providers
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from sys import modules
from typing import Any

from ...bus.fields import UNKNOWN
from ...llm import ModelOperation
from ..model_calls.names import provider_of
from ..model_calls.openai_chat_answer import ChatAnswer
from ..model_calls.openai_response_answer import ResponseAnswer
from .rerank_answer import RerankAnswer

Answer = ChatAnswer | ResponseAnswer | RerankAnswer


@dataclass(frozen=True, slots=True)
class Function:
    """A function of LiteLLM that is a call to a model, or the method of the Router with its name.

    Attributes:
        operation: What the model is asked for.
        answer: Makes what its answer is read with.
        model_at: The position of the model among its arguments; `router_model_at` among those of the Router's method.
    """

    name: str
    operation: ModelOperation
    answer: Callable[[], Answer]
    model_at: int
    router_model_at: int


# fmt: off
FUNCTIONS = (
    Function("completion",       "chat",            ChatAnswer,     0, 0),
    Function("acompletion",      "chat",            ChatAnswer,     0, 0),
    Function("text_completion",  "text_completion", ChatAnswer,     1, 0),
    Function("atext_completion", "text_completion", ChatAnswer,     1, 0),
    Function("responses",        "chat",            ResponseAnswer, 1, 1),
    Function("aresponses",       "chat",            ResponseAnswer, 1, 1),
    Function("embedding",        "embeddings",      ChatAnswer,     0, 0),
    Function("aembedding",       "embeddings",      ChatAnswer,     0, 0),
    Function("rerank",           "rerank",          RerankAnswer,   0, 0),
    Function("arerank",          "rerank",          RerankAnswer,   0, 0),
)

# LiteLLM's word for a provider, and ours where it is another one.
PROVIDERS = {
    "anthropic_text":            "anthropic",
    "azure_ai":                  "azure",
    "azure_text":                "azure",
    "bedrock_converse":          "bedrock",
    "codestral":                 "mistral",
    "cohere_chat":               "cohere",
    "custom_openai":             "openai-compatible",
    "dashscope":                 "alibaba",
    "fireworks_ai":              "fireworks",
    "gemini":                    "google",
    "moonshot":                  "moonshotai",
    "text-completion-codestral": "mistral",
    "text-completion-openai":    "openai",
    "together_ai":               "together",
}
VERTEX = "vertex_ai"
"""How the names of Google Vertex begin, which has one for each family of models in LiteLLM's list."""
# fmt: on


@dataclass(frozen=True, slots=True)
class AskedModel:
    """The model that is asked, without its provider's prefix, and the provider."""

    model: str
    provider: str


def model_argument(position: int, args: tuple[Any, ...], options: Mapping[str, Any]) -> str:
    """Return the name of the model in the arguments of a function; "" where there is none."""
    model = args[position] if len(args) > position else options.get("model")
    return model if isinstance(model, str) else ""


def asked_model(model: str, options: Mapping[str, Any]) -> AskedModel:
    """Return the model and the provider that LiteLLM asks for a name such as ``openai/gpt-4o-mini``.

    They are read from the name, the options and LiteLLM's list of models. LiteLLM's own function for that is not asked:
    it prints where it finds nothing, and logs in at some providers.
    """
    litellm = modules["litellm"]
    provider = options.get("custom_llm_provider")
    prefix, _, rest = model.partition("/")
    if rest and (prefix == provider or (provider is None and _is_provider(litellm, prefix))):
        return AskedModel(rest, provider_label(prefix))
    if isinstance(provider, str):
        return AskedModel(model, provider_label(provider))
    base_url = options.get("api_base") or options.get("base_url")
    listed = (getattr(litellm, "model_cost", None) or {}).get(model)
    name = listed.get("litellm_provider") if isinstance(listed, Mapping) else None
    if name is None and base_url is not None:
        return AskedModel(model, provider_of(base_url) or UNKNOWN)
    return AskedModel(model, provider_label(name))


def is_mocked(options: Mapping[str, Any]) -> bool:
    """Return whether LiteLLM makes the answer up, for a test: it asks nobody."""
    return any(options.get(name) is not None for name in ("mock_response", "mock_tool_calls"))


def provider_label(name: Any) -> str:
    """Return LiteLLM's word for a provider in ours; ``unknown`` where it has none.

    >>> provider_label("gemini"), provider_label("vertex_ai-language-models"), provider_label("groq")
    ('google', 'google-vertex', 'groq')
    """
    if not isinstance(name, str) or not name:
        return UNKNOWN
    return "google-vertex" if name.startswith(VERTEX) else PROVIDERS.get(name, str(name))


def _is_provider(litellm: Any, name: str) -> bool:
    providers = getattr(litellm, "provider_list", ())
    return name in providers
