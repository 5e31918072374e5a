"""Loopback servers that speak Anthropic's, Gemini's and Ollama's formats, beside the one that speaks OpenAI's.

>>> with AnthropicServer(says("Hello", usage=Usage(prompt=100, cached=60))) as server:  # doctest: +SKIP
...     provider = AnthropicProvider(base_url=server.address, api_key="none")

Bodies are in the documented formats: https://docs.anthropic.com/en/api/messages and /messages-streaming,
https://ai.google.dev/api/generate-content, https://github.com/ollama/ollama/blob/main/docs/openai.md. A `Usage` is what
the bill says, cached tokens inside the prompt and reasoning inside the completion; each server splits it as its
provider does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.support.openai_server import Answer, Asked, OpenAIServer, Usage, completion


def words(text: str) -> list[str]:
    """Cut a text as it is streamed."""
    return re.findall(r"\s*\S+|\s+$", text)


class OllamaServer(OpenAIServer):
    """Ollama's OpenAI-compatible endpoint: its usage is ``prompt_eval_count`` and ``eval_count``, without details."""

    def whole(self, answer: Answer, number: int) -> dict[str, Any]:
        return self._plain(completion(answer, number))

    def frames(self, answer: Answer, number: int, *, usage: bool) -> Iterator[str]:
        for frame in super().frames(answer, number, usage=usage):
            data = frame.removeprefix("data: ").strip()
            yield frame if data == "[DONE]" else f"data: {json.dumps(self._plain(json.loads(data)))}\n\n"

    def _plain(self, body: dict[str, Any]) -> dict[str, Any]:
        for detail in ("prompt_tokens_details", "completion_tokens_details"):
            (body.get("usage") or {}).pop(detail, None)
        return {**body, "system_fingerprint": "fp_ollama"}


class AnthropicServer(OpenAIServer):
    """Anthropic's Messages: ``input_tokens`` leave out what was read from, or written to, the cache."""

    @property
    def address(self) -> str:
        """Where it is; the SDK adds the path."""
        return self.base_url.removesuffix("/v1")

    def read(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Asked | None:
        if path.partition("?")[0] != "/v1/messages":
            return None
        return Asked(body["model"], body["messages"], bool(body.get("stream")), body, headers)

    def tells_usage(self, asked: Asked) -> bool:
        return True

    def whole(self, answer: Answer, number: int) -> dict[str, Any]:
        content = [{"type": "text", "text": answer.text}] if answer.text else []
        return self._message(answer, number, content, answer.usage.completion if answer.usage else 0)

    def frames(self, answer: Answer, number: int, *, usage: bool) -> Iterator[str]:
        def event(kind: str, **more: Any) -> str:
            return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n"

        begun = {**self._message(answer, number, [], 1), "stop_reason": None}
        yield event("message_start", message=begun)
        yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        for word in words(answer.text):
            yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
        yield event("content_block_stop", index=0)
        ending = {"stop_reason": answer.finish or "end_turn", "stop_sequence": None}
        counted = {"output_tokens": answer.usage.completion} if answer.usage else {}
        yield event("message_delta", delta=ending, usage=counted)
        yield event("message_stop")

    def _message(self, answer: Answer, number: int, content: list[Any], written: int) -> dict[str, Any]:
        usage = answer.usage or Usage(0, 0)
        return {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "model": answer.model,
            "content": content,
            "stop_reason": answer.finish or "end_turn",
            "stop_sequence": None,
            "usage": {
                "input_tokens": usage.prompt - usage.cached - usage.cache_write,
                "cache_read_input_tokens": usage.cached,
                "cache_creation_input_tokens": usage.cache_write,
                "output_tokens": written,
            },
        }


class GeminiServer(OpenAIServer):
    """Gemini's generateContent: thoughts are beside the candidates, tools beside the prompt, cached tokens inside."""

    @property
    def address(self) -> str:
        """Where it is; the SDK adds the path."""
        return self.base_url.removesuffix("/v1")

    def read(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Asked | None:
        found = re.fullmatch(r"/v1beta/models/([^:]+):(generateContent|streamGenerateContent)(\?alt=sse)?", path)
        if found is None:
            return None
        return Asked(found[1], body["contents"], found[2].startswith("stream"), body, headers)

    def tells_usage(self, asked: Asked) -> bool:
        return True

    def whole(self, answer: Answer, number: int) -> dict[str, Any]:
        return self._response(answer, number, answer.text, answer.finish or "STOP")

    def frames(self, answer: Answer, number: int, *, usage: bool) -> Iterator[str]:
        *first, last = words(answer.text) or [""]
        for word in first:
            yield f"data: {json.dumps(self._response(answer, number, word, None))}\r\n\r\n"
        yield f"data: {json.dumps(self._response(answer, number, last, answer.finish or 'STOP'))}\r\n\r\n"

    def _response(self, answer: Answer, number: int, text: str, finish: str | None) -> dict[str, Any]:
        candidate: dict[str, Any] = {"index": 0}
        if text:
            candidate["content"] = {"role": "model", "parts": [{"text": text}]}
        if finish:
            candidate["finishReason"] = finish
        made: dict[str, Any] = {"candidates": [candidate], "modelVersion": answer.model, "responseId": f"r{number}"}
        if (usage := answer.usage) is not None:
            made["usageMetadata"] = {
                "promptTokenCount": usage.prompt - usage.tool_prompt,
                "totalTokenCount": usage.prompt + usage.completion,
                **({"candidatesTokenCount": usage.completion - usage.reasoning} if finish else {}),
                **({"thoughtsTokenCount": usage.reasoning} if usage.reasoning else {}),
                **({"cachedContentTokenCount": usage.cached} if usage.cached else {}),
                **({"toolUsePromptTokenCount": usage.tool_prompt} if usage.tool_prompt else {}),
            }
        return made
