"""Which requests of the anthropic SDK are calls to a model, and who is asked.

Source: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from typing import Any

from ..model_calls.names import provider_of
from ..sdk_clients.answer import CallKind, provider_of_class
from .message_answer import MessageAnswer

PROVIDER_BY_CLASS = (
    ("Bedrock", "bedrock"),
    ("Vertex", "google-vertex"),
    ("Foundry", "azure"),
    ("AnthropicAWS", "anthropic"),  # Anthropic's own platform, as the next
    ("GoogleCloud", "anthropic"),
)
"""Part of the name of a client's class, and who is asked."""

KINDS = {
    "/v1/messages": CallKind(MessageAnswer, "chat"),
    "/v1/complete": CallKind(MessageAnswer, "text_completion"),
}
"""By the path that a call is posted to."""


class AnthropicProtocol:
    """The protocol of Anthropic, and of servers that speak it."""

    bridge = sdk = "anthropic"

    def provider_of_client(self, client: Any) -> str:
        """Return the provider that a client asks."""
        return provider_of_class(client, PROVIDER_BY_CLASS) or provider_of(client.base_url) or "anthropic-compatible"

    def kind_of_call(self, url: str) -> CallKind | None:
        """Return what is posted to a URL; None where that is no call to a model, such as one that counts tokens."""
        return KINDS.get(url.partition("?")[0])
