"""Which requests of the openai SDK are calls to a model, and who is asked.

Source: https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

from typing import Any

from ..model_calls.names import provider_of
from ..model_calls.openai_chat_answer import ChatAnswer
from ..model_calls.openai_response_answer import ResponseAnswer
from ..sdk_clients.answer import CallKind, provider_of_class

# fmt: off
KINDS: dict[str, CallKind] = {
    "/chat/completions":     CallKind(ChatAnswer, "chat"),
    "/completions":          CallKind(ChatAnswer, "text_completion"),
    "/embeddings":           CallKind(ChatAnswer, "embeddings"),
    "/images/generations":   CallKind(ChatAnswer, "image"),
    "/images/edits":         CallKind(ChatAnswer, "image"),
    "/audio/transcriptions": CallKind(ChatAnswer, "audio"),
    "/audio/translations":   CallKind(ChatAnswer, "audio"),
    "/responses":            CallKind(ResponseAnswer, "chat"),
    "/responses/compact":    CallKind(ResponseAnswer, "chat"),
}
# fmt: on
"""By the path that a call is posted to."""

PROVIDER_BY_CLASS = (("Azure", "azure"), ("Bedrock", "bedrock"))
"""Part of the name of a client's class, and who is asked."""


class OpenAIProtocol:
    """The protocol of OpenAI, of Azure and of servers that speak it."""

    bridge = sdk = "openai"

    def provider_of_client(self, client: Any) -> str:
        """Return the provider that a client asks."""
        return provider_of_class(client, PROVIDER_BY_CLASS) or provider_of(client.base_url) or "openai-compatible"

    def kind_of_call(self, url: str) -> CallKind | None:
        """Return what is posted to a URL; None where that is no call to a model, such as a file."""
        return KINDS.get(url.partition("?")[0])
