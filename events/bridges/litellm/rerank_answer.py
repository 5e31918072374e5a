"""The answer of a reranker, as LiteLLM gives it: in Cohere's format (https://docs.cohere.com/reference/rerank)."""

from __future__ import annotations

from typing import Any

from ...bus.fields import ErrorType
from ...llm import FinishReason
from ..model_calls.token_usage import TokenUsage, counted_usage, first_of, get


class RerankAnswer:
    """The answer of a reranker: it comes as a whole, and has tokens of its prompt alone, if any."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.finish_reason: FinishReason | None = None
        self.error_type: ErrorType | None = None
        self.has_ended = False
        self._meta: Any = None

    def add_whole(self, body: Any) -> None:
        """Add the answer."""
        self.has_ended = True
        self._meta = get(body, "meta")

    def add_chunk(self, chunk: Any) -> tuple[int, bool]:  # noqa: ARG002  # as other answers have it
        """Add nothing: no reranker streams."""
        return 0, False

    def usage(self) -> TokenUsage:
        """Return the tokens that the provider has counted."""
        tokens, billed = get(self._meta, "tokens"), get(self._meta, "billed_units")
        prompt = first_of(tokens, ("input_tokens",))
        if prompt is None:
            prompt = first_of(billed, ("input_tokens", "total_tokens"))
        return counted_usage(prompt, None)

    def raw_usage(self) -> Any:
        """Return None: no reranker names its cost."""
        return None
