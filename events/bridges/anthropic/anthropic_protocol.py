"""Which requests of the anthropic SDK are calls to a model, and who is asked.

Source: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..model_calls.names import label_of, provider_of
from ..sdk_clients.answer import ModelRequest, provider_of_class
from .message_answer import MessageAnswer

PROVIDER_BY_CLASS = (
    ("Bedrock", "bedrock"),
    ("Vertex", "google-vertex"),
    ("Foundry", "azure"),
    ("AnthropicAWS", "anthropic"),  # Anthropic's own platform, as the next
    ("GoogleCloud", "anthropic"),
)
"""Part of the name of a client's class, and who is asked."""

PATHS = frozenset({"/v1/messages", "/v1/complete"})


class AnthropicProtocol:
    """The protocol of Anthropic, and of servers that speak it."""

    bridge = sdk = "anthropic"

    def provider_of_client(self, client: Any) -> str:
        """Return the provider that a client asks."""
        return provider_of_class(client, PROVIDER_BY_CLASS) or provider_of(client.base_url) or "anthropic-compatible"

    def read_request(self, url: str, body: Mapping[str, Any], *, streamed: bool) -> ModelRequest | None:
        """Return a request to a model; None for one that asks none, such as one that counts tokens."""
        if url.partition("?")[0] not in PATHS:
            return None
        return ModelRequest(model=label_of(body.get("model")), streamed=streamed, answer=MessageAnswer())
