"""Which requests of the openai SDK are calls to a model, and who is asked.

Source: https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...llm import ModelOperation
from ..model_calls.names import label_of, provider_of
from ..model_calls.openai_chat_answer import ChatAnswer
from ..model_calls.openai_response_answer import ResponseAnswer
from ..sdk_clients.answer import Answer, ModelRequest, provider_of_class

# fmt: off
ANSWERS: dict[str, tuple[Callable[[], Answer], ModelOperation]] = {
    "/chat/completions":     (ChatAnswer, "chat"),
    "/completions":          (ChatAnswer, "text_completion"),
    "/embeddings":           (ChatAnswer, "embeddings"),
    "/images/generations":   (ChatAnswer, "image"),
    "/images/edits":         (ChatAnswer, "image"),
    "/audio/transcriptions": (ChatAnswer, "audio"),
    "/audio/translations":   (ChatAnswer, "audio"),
    "/responses":            (ResponseAnswer, "chat"),
    "/responses/compact":    (ResponseAnswer, "chat"),
}
# fmt: on
"""The paths that a call is posted to, how its answer is read, and what is asked for."""

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
        known = ANSWERS.get(url.partition("?")[0])
        if known is None:
            return None
        make, operation = known
        return ModelRequest(model=label_of(body.get("model")), streamed=streamed, answer=make(), operation=operation)
