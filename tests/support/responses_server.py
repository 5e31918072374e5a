"""A loopback server with OpenAI's Responses API.

Bodies are in the documented format: https://platform.openai.com/docs/api-reference/responses (object) and
/docs/api-reference/responses-streaming (events).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.support.openai_server import ChatRequest, OpenAIServer, Reply
from tests.support.provider_servers import words


class ResponsesServer(OpenAIServer):
    """OpenAI's Responses: the usage is in the response, in a stream in that of its last event."""

    def parse_request(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> ChatRequest | None:
        if path != "/v1/responses":
            return None
        return ChatRequest(body["model"], body["input"], bool(body.get("stream")), body, headers)

    def includes_usage(self, request: ChatRequest) -> bool:
        return True

    def response_body(self, reply: Reply, number: int) -> dict[str, Any]:
        return self._response(reply, number, self._output(reply, number))

    def stream_events(self, reply: Reply, number: int, *, usage: bool) -> Iterator[str]:
        started = {**self._response(reply, number, []), "status": "in_progress", "usage": None}
        output = self._output(reply, number)
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": started},
            {"type": "response.in_progress", "response": started},
            *(event for place, item in enumerate(output) for event in self._item_events(reply, item, place)),
            {"type": "response.completed", "response": self._response(reply, number, output)},
        ]
        for place_in_stream, event in enumerate(events):
            yield f"event: {event['type']}\ndata: {json.dumps({**event, 'sequence_number': place_in_stream})}\n\n"

    def _item_events(self, reply: Reply, item: dict[str, Any], index: int) -> Iterator[dict[str, Any]]:
        place = {"item_id": item["id"], "output_index": index}
        empty: dict[str, Any] = {"arguments": ""} if item["type"] == "function_call" else {"content": []}
        yield {
            "type": "response.output_item.added",
            "output_index": index,
            "item": {**item, "status": "in_progress", **empty},
        }
        if item["type"] == "function_call":
            yield {"type": "response.function_call_arguments.delta", **place, "delta": item["arguments"]}
            done = {"name": item["name"], "arguments": item["arguments"]}
            yield {"type": "response.function_call_arguments.done", **place, **done}
        else:
            part, place = {"type": "output_text", "text": "", "annotations": []}, {**place, "content_index": 0}
            yield {"type": "response.content_part.added", **place, "part": part}
            for word in words(reply.text):
                yield {"type": "response.output_text.delta", **place, "delta": word, "logprobs": []}
            yield {"type": "response.output_text.done", **place, "text": reply.text, "logprobs": []}
            yield {"type": "response.content_part.done", **place, "part": {**part, "text": reply.text}}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}

    def _output(self, reply: Reply, number: int) -> list[dict[str, Any]]:
        calls = [
            {
                "id": f"fc_{number}_{place}",
                "type": "function_call",
                "call_id": f"call_{number}_{place}",
                "name": name,
                "arguments": json.dumps(arguments),
                "status": "completed",
            }
            for place, (name, arguments) in enumerate(reply.tool_calls)
        ]
        return calls if calls and not reply.text else [self._message(reply, number), *calls]

    def _message(self, reply: Reply, number: int) -> dict[str, Any]:
        content = [{"type": "output_text", "text": reply.text, "annotations": []}]
        return {
            "id": f"msg_{number}",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": content,
        }

    def _response(self, reply: Reply, number: int, output: list[Any]) -> dict[str, Any]:
        usage = reply.usage
        return {
            "id": f"resp_{number}",
            "object": "response",
            "created_at": 1_700_000_000,
            "status": "completed",
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "max_output_tokens": None,
            "model": reply.model,
            "output": output,
            "parallel_tool_calls": True,
            "service_tier": "default",
            "tool_choice": "auto",
            "tools": [],
            "usage": usage
            and {
                "input_tokens": usage.prompt,
                "input_tokens_details": {"cached_tokens": usage.cached},
                "output_tokens": usage.completion,
                "output_tokens_details": {"reasoning_tokens": usage.reasoning},
                "total_tokens": usage.prompt + usage.completion,
            },
            "metadata": {},
        }
