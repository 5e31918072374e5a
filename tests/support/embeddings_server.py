"""Loopback servers of models that write nothing: embeddings as OpenAI has them, and reranking as Cohere has it.

Bodies are in the documented formats: https://platform.openai.com/docs/api-reference/embeddings/create and
https://docs.cohere.com/reference/rerank.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.support.openai_server import ChatRequest, OpenAIServer, Reply


class EmbeddingsServer(OpenAIServer):
    """OpenAI's embeddings: the usage of a reply has tokens of the prompt alone."""

    def parse_request(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> ChatRequest | None:
        if path != "/v1/embeddings":
            return None
        return ChatRequest(body["model"], texts(body["input"]), False, body, headers)

    def response_body(self, reply: Reply, number: int) -> dict[str, Any]:
        inputs = self.requests[-1].messages
        vectors = [{"object": "embedding", "index": index, "embedding": [0.5, 0.25]} for index, _ in enumerate(inputs)]
        prompt = reply.usage.prompt if reply.usage else 0
        usage = {"usage": {"prompt_tokens": prompt, "total_tokens": prompt}} if reply.usage else {}
        return {"object": "list", "data": vectors, "model": reply.model, **usage}


class RerankServer(OpenAIServer):
    """Cohere's reranking: it bills searches, and may say how many tokens it read."""

    def parse_request(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> ChatRequest | None:
        if not path.endswith("/rerank"):
            return None
        return ChatRequest(body["model"], texts(body["documents"]), False, body, headers)

    def response_body(self, reply: Reply, number: int) -> dict[str, Any]:
        documents = self.requests[-1].messages
        results = [{"index": index, "relevance_score": 0.9 - index / 10} for index, _ in enumerate(documents)]
        tokens = {"tokens": {"input_tokens": reply.usage.prompt, "output_tokens": 0}} if reply.usage else {}
        meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}, **tokens}
        return {"id": f"rerank-{number}", "results": results, "meta": meta}


def texts(given: str | Sequence[Any]) -> list[dict[str, Any]]:
    """Return one text, or several, as messages."""
    return [{"content": each} for each in ([given] if isinstance(given, str) else given)]
