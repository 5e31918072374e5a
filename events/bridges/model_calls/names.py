"""Names of models and providers, as labels have them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from ...bus.fields import UNKNOWN

MAX_NAME_LENGTH = 256  # characters; no real name is longer, and a truncated one still exceeds the limit of labels

# The ends of hosts, from the particular to the general, and pydantic-ai's word for who answers there.
# fmt: off
PROVIDER_BY_HOST = (
    ("api.openai.com",                   "openai"),
    ("openai.azure.com",                 "azure"),
    ("cognitiveservices.azure.com",      "azure"),
    ("services.ai.azure.com",            "azure"),
    ("api.anthropic.com",                "anthropic"),
    ("generativelanguage.googleapis.com", "google"),
    ("aiplatform.googleapis.com",        "google-cloud"),
    ("amazonaws.com",                    "bedrock"),
    ("api.groq.com",                     "groq"),
    ("api.mistral.ai",                   "mistral"),
    ("api.deepseek.com",                 "deepseek"),
    ("api.x.ai",                         "xai"),
    ("openrouter.ai",                    "openrouter"),
    ("api.together.xyz",                 "together"),
    ("api.together.ai",                  "together"),
    ("api.fireworks.ai",                 "fireworks"),
    ("api.perplexity.ai",                "perplexity"),
    ("api.moonshot.ai",                  "moonshotai"),
    ("api.cohere.com",                   "cohere"),
    ("api.cerebras.ai",                  "cerebras"),
    ("models.github.ai",                 "github"),
    ("dashscope-intl.aliyuncs.com",      "alibaba"),
)
# fmt: on


def truncate_name(name: Any) -> str:
    """Return a provider's or model's name, cut to `MAX_NAME_LENGTH`, or "" where it is no text.

    A response may hold megabytes there.
    """
    return name[:MAX_NAME_LENGTH] if isinstance(name, str) else ""


def label_of(name: Any) -> str:
    """Return a name as the value of a label; ``unknown`` where there is none."""
    if isinstance(name, str):
        return (name if len(name) <= MAX_NAME_LENGTH else name[:MAX_NAME_LENGTH]) or UNKNOWN
    return UNKNOWN


def provider_of(url: Any) -> str | None:
    """Return the provider whose server a URL names; None for one that is not known, such as one's own.

    >>> provider_of("https://api.openai.com/v1/")
    'openai'
    """
    return provider_at(str(url))


@lru_cache(256)  # a process asks few, and to read one takes longer than most of what a call adds
def provider_at(url: str) -> str | None:
    """Return the same of a URL that is a text."""
    try:
        host = (urlsplit(url).hostname or "").lower()
    except ValueError:
        return None
    return next((name for end, name in PROVIDER_BY_HOST if host == end or host.endswith(f".{end}")), None)
