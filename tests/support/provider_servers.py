"""Loopback servers with the APIs of Anthropic, Gemini and Ollama, beside the one with OpenAI's::

    with AnthropicServer(says("Hello", usage=Usage(prompt=100, cached=60))) as server:
        provider = AnthropicProvider(base_url=server.address, api_key="none")

Bodies are in the documented formats: https://docs.anthropic.com/en/api/messages and /messages-streaming,
https://ai.google.dev/api/generate-content, https://github.com/ollama/ollama/blob/main/docs/openai.md. A `Usage` has
cached tokens inside the prompt and reasoning inside the completion; each server splits it as its provider does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, Usage, completion


def words(text: str) -> list[str]:
    """Split a text into the pieces that are streamed."""
    return re.findall(r"\s*\S+|\s+$", text)


class OllamaServer(OpenAIServer):
    """Ollama's OpenAI-compatible endpoint: its usage is ``prompt_eval_count`` and ``eval_count``, without details."""

    def response_body(self, reply: Reply, number: int) -> dict[str, Any]:
        return self._without_details(completion(reply, number))

    def stream_events(self, reply: Reply, number: int, *, usage: bool) -> Iterator[str]:
        for frame in super().stream_events(reply, number, usage=usage):
            data = frame.removeprefix("data: ").strip()
            yield frame if data == "[DONE]" else f"data: {json.dumps(self._without_details(json.loads(data)))}\n\n"

    def _without_details(self, body: dict[str, Any]) -> dict[str, Any]:
        for detail in ("prompt_tokens_details", "completion_tokens_details"):
            (body.get("usage") or {}).pop(detail, None)
        return {**body, "system_fingerprint": "fp_ollama"}


class CompatibleServer(OpenAIServer):
    """A server that speaks OpenAI's protocol and has words of its own for usage and cost.

    ``usage`` is the usage object that it sends, ``more`` goes into the body beside it. With ``in_each_chunk`` a stream
    has the usage so far in every chunk, as with vLLM's ``continuous_usage_stats``
    (https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html).
    """

    def __init__(
        self, usage: dict[str, Any], more: dict[str, Any] | None = None, *, in_each_chunk: bool = False, **reply: Any
    ) -> None:
        super().__init__(Reply(text="a b c d e f", **reply))
        self.usage = usage
        self.more = more or {}
        self.in_each_chunk = in_each_chunk

    def response_body(self, reply: Reply, number: int) -> dict[str, Any]:
        return {**completion(reply, number), "usage": self.usage, **self.more}

    def stream_events(self, reply: Reply, number: int, *, usage: bool) -> Iterator[str]:
        for count, frame in enumerate(super().stream_events(reply, number, usage=usage)):
            data = frame.removeprefix("data: ").strip()
            yield frame if data == "[DONE]" else f"data: {json.dumps(self._with_usage(json.loads(data), count))}\n\n"

    def _with_usage(self, chunk: dict[str, Any], count: int) -> dict[str, Any]:
        if chunk.get("usage"):
            chunk["usage"] = self.usage
        elif self.in_each_chunk:
            chunk["usage"] = {**self.usage, "completion_tokens": min(count, self.usage["completion_tokens"])}
        return {**chunk, **self.more}


class AnthropicServer(OpenAIServer):
    """Anthropic's Messages: ``input_tokens`` leave out what was read from, or written to, the cache."""

    @property
    def address(self) -> str:
        """The server's URL without a path, which the SDK adds."""
        return self.base_url.removesuffix("/v1")

    def parse_request(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> ChatRequest | None:
        if path.partition("?")[0] != "/v1/messages":
            return None
        return ChatRequest(body["model"], body["messages"], bool(body.get("stream")), body, headers)

    def includes_usage(self, request: ChatRequest) -> bool:
        return True

    def response_body(self, reply: Reply, number: int) -> dict[str, Any]:
        text = [{"type": "text", "text": reply.text}] if reply.text else []
        tools = [{**block, "input": arguments} for block, arguments in tool_uses(reply, number)]
        return self._message(reply, number, [*text, *tools], reply.usage.completion if reply.usage else 0)

    def stream_events(self, reply: Reply, number: int, *, usage: bool) -> Iterator[str]:
        def event(kind: str, **more: Any) -> str:
            return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n"

        started = {**self._message(reply, number, [], 1), "stop_reason": None}
        yield event("message_start", message=started)
        uses = list(tool_uses(reply, number))
        if reply.text or not uses:
            yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
            for word in words(reply.text):
                yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
            yield event("content_block_stop", index=0)
        for index, (block, arguments) in enumerate(uses, 1 if reply.text else 0):
            yield event("content_block_start", index=index, content_block=block)
            delta = {"type": "input_json_delta", "partial_json": json.dumps(arguments)}
            yield event("content_block_delta", index=index, delta=delta)
            yield event("content_block_stop", index=index)
        stop = {"stop_reason": stop_reason(reply), "stop_sequence": None}
        usage_delta = {"output_tokens": reply.usage.completion, **thinking(reply.usage)} if reply.usage else {}
        yield event("message_delta", delta=stop, usage=usage_delta)
        yield event("message_stop")

    def _message(self, reply: Reply, number: int, content: list[Any], output_tokens: int) -> dict[str, Any]:
        usage = reply.usage or Usage(0, 0)
        return {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "model": reply.model,
            "content": content,
            "stop_reason": stop_reason(reply),
            "stop_sequence": None,
            "usage": {
                "input_tokens": usage.prompt - usage.cached - usage.cache_write,
                "cache_read_input_tokens": usage.cached,
                "cache_creation_input_tokens": usage.cache_write,
                "output_tokens": output_tokens,
                **thinking(usage),
            },
        }


def stop_reason(reply: Reply) -> str:
    """Return why a message ends."""
    return reply.finish or ("tool_use" if reply.tool_calls else "end_turn")


def tool_uses(reply: Reply, number: int) -> Iterator[tuple[dict[str, Any], Mapping[str, Any]]]:
    """Yield each use of a tool in a message, without its input, and that."""
    for place, (name, arguments) in enumerate(reply.tool_calls):
        yield {"type": "tool_use", "id": f"toolu_{number}_{place}", "name": name, "input": {}}, arguments


def thinking(usage: Usage) -> dict[str, Any]:
    """Return how many of the output tokens were thought, as ``Usage`` of Anthropic's SDK has it."""
    return {"output_tokens_details": {"thinking_tokens": usage.reasoning}} if usage.reasoning else {}


class GeminiServer(OpenAIServer):
    """Gemini's generateContent: thoughts are beside the candidates, tools beside the prompt, cached tokens inside."""

    @property
    def address(self) -> str:
        """The server's URL without a path, which the SDK adds."""
        return self.base_url.removesuffix("/v1")

    def parse_request(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> ChatRequest | None:
        match = re.fullmatch(r"/v1beta/models/([^:]+):(generateContent|streamGenerateContent)(\?alt=sse)?", path)
        if match is None:
            return None
        return ChatRequest(match[1], body["contents"], match[2].startswith("stream"), body, headers)

    def includes_usage(self, request: ChatRequest) -> bool:
        return True

    def response_body(self, reply: Reply, number: int) -> dict[str, Any]:
        return self._response(reply, number, reply.text, reply.finish or "STOP")

    def stream_events(self, reply: Reply, number: int, *, usage: bool) -> Iterator[str]:
        *rest, last = words(reply.text) or [""]
        for word in rest:
            yield f"data: {json.dumps(self._response(reply, number, word, None))}\r\n\r\n"
        yield f"data: {json.dumps(self._response(reply, number, last, reply.finish or 'STOP'))}\r\n\r\n"

    def _response(self, reply: Reply, number: int, text: str, finish: str | None) -> dict[str, Any]:
        candidate: dict[str, Any] = {"index": 0}
        if text:
            candidate["content"] = {"role": "model", "parts": [{"text": text}]}
        if finish:
            candidate["finishReason"] = finish
        body: dict[str, Any] = {"candidates": [candidate], "modelVersion": reply.model, "responseId": f"r{number}"}
        if (usage := reply.usage) is not None:
            body["usageMetadata"] = {
                "promptTokenCount": usage.prompt - usage.tool_prompt,
                "totalTokenCount": usage.prompt + usage.completion,
                **({"candidatesTokenCount": usage.completion - usage.reasoning} if finish else {}),
                **({"thoughtsTokenCount": usage.reasoning} if usage.reasoning else {}),
                **({"cachedContentTokenCount": usage.cached} if usage.cached else {}),
                **({"toolUsePromptTokenCount": usage.tool_prompt} if usage.tool_prompt else {}),
            }
        return body
