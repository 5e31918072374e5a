"""A loopback server with Amazon Bedrock's Converse and ConverseStream.

Bodies are in the documented format: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html,
API_runtime_ConverseStream.html and API_runtime_TokenUsage.html. A stream is in frames of
https://docs.aws.amazon.com/lexv2/latest/dg/event-stream-encoding.html.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from struct import pack
from typing import Any
from urllib.parse import unquote
from zlib import crc32

from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, response
from tests.support.provider_servers import words

STRING = 7
"""The type of a header's value."""


class BedrockServer(OpenAIServer):
    """Bedrock's Converse: the prompt is counted without what was read from, or written to, the cache."""

    @property
    def address(self) -> str:
        """The server's URL without a path, which the SDK adds."""
        return self.base_url.removesuffix("/v1")

    def parse_request(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> ChatRequest | None:
        match = re.fullmatch(r"/model/([^/]+)/(converse|converse-stream)", path)
        if match is None:
            return None
        return ChatRequest(unquote(match[1]), body["messages"], match[2] == "converse-stream", body, headers)

    def includes_usage(self, request: ChatRequest) -> bool:
        return True

    def response_body(self, reply: Reply, number: int) -> dict[str, Any]:
        return {
            "output": {"message": {"role": "assistant", "content": [{"text": reply.text}]}},
            "stopReason": reply.finish or "end_turn",
            "usage": token_usage(reply),
            "metrics": {"latencyMs": 551},
        }

    async def _stream(
        self, events: Sequence[str], reply: Reply, writer: asyncio.StreamWriter, finish: Callable[[], None]
    ) -> None:
        """Send the frames of a stream: what OpenAI's server has as events is not used."""
        headers = {"Content-Type": "application/vnd.amazon.eventstream", "Transfer-Encoding": "chunked"}
        writer.write(response(reply.status, None, {**headers, **reply.headers}))
        frames = [
            frame("messageStart", {"role": "assistant"}),
            *(
                frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word}})
                for word in words(reply.text)
            ),
            frame("contentBlockStop", {"contentBlockIndex": 0}),
            frame("messageStop", {"stopReason": reply.finish or "end_turn"}),
            frame("metadata", {"usage": token_usage(reply), "metrics": {"latencyMs": 551}}),
        ]
        for number, data in enumerate(frames):
            await asyncio.sleep(reply.pause)
            if number == len(frames) - 1:
                finish()
            writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()


def token_usage(reply: Reply) -> dict[str, int]:
    """Return a TokenUsage."""
    assert reply.usage is not None
    usage = reply.usage
    body = {"inputTokens": usage.prompt - usage.cached - usage.cache_write, "outputTokens": usage.completion}
    cache = {"cacheReadInputTokens": usage.cached, "cacheWriteInputTokens": usage.cache_write}
    return {**body, "totalTokens": usage.prompt + usage.completion, **cache}


def frame(event: str, payload: dict[str, Any]) -> bytes:
    """Return one message of an event stream: its lengths, their checksum, headers, payload and checksum."""
    body = json.dumps(payload).encode()
    headers = b"".join(
        pack("!B", len(name)) + name.encode() + pack("!BH", STRING, len(value)) + value.encode()
        for name, value in (
            (":event-type", event),
            (":content-type", "application/json"),
            (":message-type", "event"),
        )
    )
    prelude = pack("!II", len(headers) + len(body) + 16, len(headers))
    message = prelude + pack("!I", crc32(prelude)) + headers + body
    return message + pack("!I", crc32(message))
