"""Which requests of the openai SDK are calls to a model, and who is asked.

Source: https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..model_calls.names import label_of, provider_of
from ..model_calls.openai_chat_answer import ChatAnswer
from ..model_calls.openai_response_answer import ResponseAnswer
from ..sdk_clients.answer import Answer, ModelRequest, provider_of_class

# fmt: off
ANSWERS: dict[str, Callable[[], Answer]] = {
    "/chat/completions":     ChatAnswer,
    "/completions":          ChatAnswer,
    "/embeddings":           ChatAnswer,
    "/images/generations":   ChatAnswer,
    "/images/edits":         ChatAnswer,
    "/audio/transcriptions": ChatAnswer,
    "/audio/translations":   ChatAnswer,
    "/responses":            ResponseAnswer,
    "/responses/compact":    ResponseAnswer,
}
# fmt: on
"""The paths that a call is posted to."""

PROVIDER_BY_CLASS = (("Azure", "azure"), ("Bedrock", "bedrock"))
"""Part of the name of a client's class, and who is asked."""


class OpenAIProtocol:
    """The protocol of OpenAI, of Azure and of servers that speak it."""

    bridge = sdk = "openai"

    def provider_of_client(self, client: Any) -> str:
        """Return the provider that a client asks."""
        return provider_of_class(client, PROVIDER_BY_CLASS) or provider_of(client.base_url) or "openai-compatible"

    def read_request(self, url: str, body: Mapping[str, Any], *, streamed: bool) -> ModelRequest | None:
        """Return a request to a model; None for one that asks none, such as a list of files."""
        make = ANSWERS.get(url.partition("?")[0])
        if make is None:
            return None
        return ModelRequest(model=label_of(body.get("model")), streamed=streamed, answer=make())
