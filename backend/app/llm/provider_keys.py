"""The providers of models, and the environment variables in which their SDKs look for a key.

It imports nothing: the launcher reads it before the SDKs are loaded, which takes seconds. The names are those of
``pydantic_ai.providers.infer_provider_class``, the variables those that its providers read.
"""

from __future__ import annotations

_OPENAI = ("OPENAI_API_KEY",)
_GOOGLE = ("GOOGLE_API_KEY", "GEMINI_API_KEY")

KEY_VARIABLES: dict[str, tuple[str, ...]] = {
    "alibaba": ("ALIBABA_API_KEY", "DASHSCOPE_API_KEY"),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "cerebras": ("CEREBRAS_API_KEY",),
    "cohere": ("CO_API_KEY",),
    "crusoe": ("CRUSOE_API_KEY",),
    "deepseek": ("DEEPSEEK_API_KEY",),
    "elevenlabs": ("ELEVENLABS_API_KEY",),
    "fireworks": ("FIREWORKS_API_KEY",),
    "github": ("GITHUB_API_KEY",),
    "google": _GOOGLE,
    "google-decisions": _GOOGLE,
    "groq": ("GROQ_API_KEY",),
    "heroku": ("HEROKU_INFERENCE_KEY",),
    "huggingface": ("HF_TOKEN",),
    "meta": ("META_API_KEY",),
    "mistral": ("MISTRAL_API_KEY",),
    "moonshotai": ("MOONSHOTAI_API_KEY",),
    "nebius": ("NEBIUS_API_KEY",),
    "openai": _OPENAI,
    "openai-chat": _OPENAI,
    "openai-decisions": _OPENAI,
    "openai-responses": _OPENAI,
    "openrouter": ("OPENROUTER_API_KEY",),
    "ovhcloud": ("OVHCLOUD_API_KEY",),
    "sambanova": ("SAMBANOVA_API_KEY",),
    "together": ("TOGETHER_API_KEY",),
    "vercel": ("VERCEL_AI_GATEWAY_API_KEY", "VERCEL_OIDC_TOKEN"),
    "xai": ("XAI_API_KEY",),
    "zai": ("ZAI_API_KEY",),
}
"""By provider: the variables one of which has to hold its key."""

_AZURE = ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", "OPENAI_API_VERSION")
# The first three are those of AWS' own SDK.
_AWS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK", "AWS_REGION",
        "AWS_DEFAULT_REGION")  # fmt: skip

OTHER_PROVIDERS: dict[str, tuple[str, ...]] = {
    "azure": _AZURE,
    "azure-responses": _AZURE,
    "bedrock": _AWS,
    "bedrock-mantle": _AWS,
    "github-copilot": ("GITHUB_COPILOT_API_KEY", "GITHUB_COPILOT_API_TOKEN", "COPILOT_GITHUB_TOKEN"),
    "google-cloud": ("GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION", *_GOOGLE),
    "litellm": (),
    "ollama": ("OLLAMA_BASE_URL", "OLLAMA_API_KEY"),
    "openai-chatgpt": (),
    "openai-codex": (),
    "sentence-transformers": (),
    "snowflake": ("SNOWFLAKE_ACCOUNT", "SNOWFLAKE_TOKEN"),
    "system-one": ("SYSTEM_ONE_BASE_URL", "SYSTEM_ONE_API_KEY"),
    "typesafe": ("TYPESAFE_BASE_URL", "TYPESAFE_API_KEY"),
    "vllm": ("VLLM_BASE_URL", "VLLM_API_KEY"),
    "voyageai": ("VOYAGE_API_KEY",),
}
"""Providers that need no key, or credentials of another kind, by the variables that say what they need to know."""

SERVER_VARIABLES = ("OPENAI_BASE_URL",)
"""Variables that name a server of one's own to a provider of `KEY_VARIABLES`."""
