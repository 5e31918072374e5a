"""Which model is asked, and whose it is, by what LangChain says when a call starts.

Source: https://docs.langchain.com/langsmith/log-llm-trace (``ls_provider``, ``ls_model_name``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..model_calls.names import label_of, provider_of

# LangChain's word and pydantic-ai's, which all bridges have; any other is the same in both.
# fmt: off
PROVIDERS = {
    "google_genai":            "google",
    "google_vertexai":         "google-vertex",
    "google_anthropic_vertex": "google-vertex",
    "amazon_bedrock":          "bedrock",
    "anthropic-mantle":        "bedrock",
    "openai-mantle":           "bedrock",
    "openai-codex":            "openai",
    "azure_ai":                "azure",
    "mistralai":               "mistral",
}
URL_FIELDS = {"openai": ("openai_api_base", "base_url"), "anthropic": ("anthropic_api_url", "base_url")}
# fmt: on
"""The fields of a model of these providers that have the URL of another server that speaks the same protocol."""


def model_name(metadata: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    """Return the model that is asked for."""
    return label_of(metadata.get("ls_model_name") or params.get("model") or params.get("model_name"))


def provider_name(metadata: Mapping[str, Any], serialized: Mapping[str, Any] | None) -> str:
    """Return who is asked, as the bridges to the SDKs name it: a server of one's own by its protocol."""
    said = label_of(metadata.get("ls_provider"))
    settings = (serialized or {}).get("kwargs")
    for field in URL_FIELDS.get(said, ()):
        url = settings.get(field) if isinstance(settings, dict) else None
        if isinstance(url, str) and url:
            return provider_of(url) or f"{said}-compatible"
    return PROVIDERS.get(said, said)
