"""Loopback servers of providers whose API is OpenAI's Chat Completions in words of their own.

Each body follows the provider's own documentation, whose page stands with its server. A `Usage` has cached tokens
inside the prompt and reasoning inside the completion; each server splits it as its provider does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, Usage, completion


class DialectServer(OpenAIServer):
    """A server with paths and words of its own; a subclass overrides `rewrite` and `usage_body`."""

    paths = r"/v1/chat/completions"
    """A pattern of the paths that are served."""

    def parse_request(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> ChatRequest | None:
        if re.fullmatch(self.paths, path.partition("?")[0].partition("#")[0]) is None:
            return None
        return ChatRequest(body["model"], body["messages"], bool(body.get("stream")), body, headers)

    def usage_body(self, usage: Usage, model: str) -> dict[str, Any]:
        """Return the usage object of the provider."""
        return counts(usage)

    def rewrite(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return a plain body, or a chunk of a stream, with what the provider adds to it."""
        return body

    def response_body(self, reply: Reply, number: int) -> dict[str, Any]:
        return self._translate(completion(reply, number), reply)

    def stream_events(self, reply: Reply, number: int, *, usage: bool) -> Iterator[str]:
        for frame in super().stream_events(reply, number, usage=usage):
            data = frame.removeprefix("data: ").strip()
            yield frame if data == "[DONE]" else f"data: {json.dumps(self._translate(json.loads(data), reply))}\n\n"

    def _translate(self, body: dict[str, Any], reply: Reply) -> dict[str, Any]:
        if body.get("usage") and reply.usage is not None:
            body["usage"] = self.usage_body(reply.usage, reply.model or "")
        return self.rewrite(body)


def counts(usage: Usage, **details: Any) -> dict[str, Any]:
    """Return a usage object with its three sums and these details."""
    sums = {"prompt_tokens": usage.prompt, "completion_tokens": usage.completion}
    return {**sums, "total_tokens": usage.prompt + usage.completion, **details}


SAFE = {"hate": {"filtered": False, "severity": "safe"}}
"""What Azure's filter says of harmless content."""


class AzureServer(DialectServer):
    """Azure OpenAI: deployments in the path, what its content filter found in each body.

    https://learn.microsoft.com/azure/ai-foundry/openai/reference and /azure/ai-foundry/openai/concepts/content-filter
    """

    paths = r"/openai/deployments/[\w.-]+/chat/completions"

    def usage_body(self, usage: Usage, model: str) -> dict[str, Any]:
        return usage.as_json()

    def rewrite(self, body: dict[str, Any]) -> dict[str, Any]:
        for choice in body["choices"]:
            choice["content_filter_results"] = SAFE
        if body["object"] == "chat.completion":
            body["prompt_filter_results"] = [{"prompt_index": 0, "content_filter_results": SAFE}]
        return body


class OpenRouterServer(DialectServer):
    """OpenRouter: the cost in the usage, in US dollars, streamed or not, whether asked for or not.

    https://openrouter.ai/docs/use-cases/usage-accounting and /docs/api-reference/overview
    """

    paths = r"/api/v1/chat/completions"
    cost = 0.00123

    @property
    def api_url(self) -> str:
        """The URL that stands in the documentation as https://openrouter.ai/api/v1."""
        return self.base_url.removesuffix("/v1") + "/api/v1"

    def includes_usage(self, request: ChatRequest) -> bool:
        return True

    def usage_body(self, usage: Usage, model: str) -> dict[str, Any]:
        return counts(
            usage,
            cost=self.cost,
            is_byok=False,
            prompt_tokens_details={"cached_tokens": usage.cached, "cache_write_tokens": 0, "audio_tokens": 0},
            cost_details={"upstream_inference_cost": None},
            completion_tokens_details={"reasoning_tokens": usage.reasoning},
        )

    def rewrite(self, body: dict[str, Any]) -> dict[str, Any]:
        for choice in body["choices"]:
            choice["native_finish_reason"] = choice["finish_reason"]
        return {**body, "provider": "OpenAI"}


class DeepSeekServer(DialectServer):
    """DeepSeek: hits and misses of its cache as counts of their own.

    https://api-docs.deepseek.com/api/create-chat-completion
    """

    def usage_body(self, usage: Usage, model: str) -> dict[str, Any]:
        hits = {"prompt_cache_hit_tokens": usage.cached, "prompt_cache_miss_tokens": usage.prompt - usage.cached}
        return counts(usage, **hits, completion_tokens_details={"reasoning_tokens": usage.reasoning})


class GroqServer(DialectServer):
    """Groq: times in the usage, which in a stream is under ``x_groq`` of the last chunk.

    https://console.groq.com/docs/api-reference#chat-create, /docs/prompt-caching and /docs/rate-limits
    """

    paths = r"/openai/v1/chat/completions"

    @property
    def address(self) -> str:
        """The server's URL without a path, which the SDK adds."""
        return self.base_url.removesuffix("/v1")

    def includes_usage(self, request: ChatRequest) -> bool:
        return True

    def usage_body(self, usage: Usage, model: str) -> dict[str, Any]:
        return counts(
            usage,
            queue_time=0.037,
            prompt_time=0.0006,
            completion_time=0.463,
            total_time=0.464,
            prompt_tokens_details={"cached_tokens": usage.cached},
            completion_tokens_details={"reasoning_tokens": usage.reasoning},
        )

    def stream_events(self, reply: Reply, number: int, *, usage: bool) -> Iterator[str]:
        """Yield the chunks without the one for the usage: that is in the one with the finish reason."""
        for frame in super().stream_events(reply, number, usage=False):
            data = frame.removeprefix("data: ").strip()
            chunk = {} if data == "[DONE]" else json.loads(data)
            if chunk.get("choices") and chunk["choices"][0]["finish_reason"] and usage and reply.usage is not None:
                chunk["x_groq"] = {"id": f"req_{number}", "usage": self.usage_body(reply.usage, reply.model or "")}
            yield f"data: {json.dumps(chunk)}\n\n" if chunk else frame

    def rewrite(self, body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "system_fingerprint": "fp_179b0f92c9", "x_groq": {"id": "req_1"}}


class MistralServer(DialectServer):
    """Mistral: the usage is in the chunk with the finish reason, without being asked for.

    https://docs.mistral.ai/api/endpoint/chat and /studio-api/conversations/advanced/prompt-caching
    """

    @property
    def address(self) -> str:
        """The server's URL without a path, which the SDK adds."""
        return self.base_url.removesuffix("/v1")

    def includes_usage(self, request: ChatRequest) -> bool:
        return True

    def usage_body(self, usage: Usage, model: str) -> dict[str, Any]:
        return counts(usage, prompt_tokens_details={"cached_tokens": usage.cached})

    def stream_events(self, reply: Reply, number: int, *, usage: bool) -> Iterator[str]:
        for frame in super().stream_events(reply, number, usage=False):
            data = frame.removeprefix("data: ").strip()
            chunk = {} if data == "[DONE]" else json.loads(data)
            if chunk and chunk["choices"][0]["finish_reason"] and usage and reply.usage is not None:
                chunk["usage"] = self.usage_body(reply.usage, reply.model or "")
            yield f"data: {json.dumps(chunk)}\n\n" if chunk else frame


class PlainServer(DialectServer):
    """A server with the least of the protocol, as LM Studio's and llama.cpp's: three sums and no details.

    https://lmstudio.ai/docs/developer/openai-compat and
    https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
    """
