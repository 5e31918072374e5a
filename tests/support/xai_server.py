"""A loopback server with xAI's API over gRPC, which xAI's own SDK speaks.

Messages are those of https://github.com/xai-org/xai-proto (``chat.proto`` and ``usage.proto`` of ``xai/api/v1``), which
the SDK brings compiled. What they mean: https://docs.x.ai/docs/guides/reasoning (reasoning is beside the completion),
https://docs.x.ai/developers/cost-tracking (``cost_in_usd_ticks``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from xai_sdk.proto import chat_pb2, chat_pb2_grpc, sample_pb2, usage_pb2

from tests.support.openai_server import ChatRequest, OpenAIServer, Reply
from tests.support.provider_servers import words

STATUS_CODES = {429: grpc.StatusCode.RESOURCE_EXHAUSTED, 500: grpc.StatusCode.INTERNAL}
TICKS = 12_300_000
"""Of each answer: 0.00123 USD."""


class XaiServer(OpenAIServer):
    """xAI's Chat service; behaviour and tally are those of the HTTP servers."""

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = grpc.aio.server()
        chat_pb2_grpc.add_ChatServicer_to_server(Chat(self), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        self.base_url = f"localhost:{port}"
        self._ready.set()
        await self._stop.wait()
        await server.stop(None)


class Chat(chat_pb2_grpc.ChatServicer):  # type: ignore[misc]  # generated code has no types
    """The two methods that a model uses."""

    def __init__(self, server: XaiServer) -> None:
        self._server = server

    async def GetCompletion(self, request: Any, context: Any) -> Any:  # noqa: N802  # the service's name
        reply = await self._next(request, context, stream=False)
        message = chat_pb2.CompletionMessage(role=chat_pb2.ROLE_ASSISTANT, content=reply.text)
        output = chat_pb2.CompletionOutput(index=0, message=message, finish_reason=sample_pb2.REASON_STOP)
        self._count(request, reply)
        return chat_pb2.GetChatCompletionResponse(id="1", model=reply.model, outputs=[output], usage=sampled(reply))

    async def GetCompletionChunk(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802  # the same
        reply = await self._next(request, context, stream=True)
        texts = words(reply.text)
        for text in texts:
            await asyncio.sleep(reply.pause)
            delta = chat_pb2.Delta(role=chat_pb2.ROLE_ASSISTANT, content=text)
            output = chat_pb2.CompletionOutputChunk(index=0, delta=delta)
            last: dict[str, Any] = {}
            if text is texts[-1]:
                output.finish_reason = sample_pb2.REASON_STOP
                last = {"usage": sampled(reply)}
                self._count(request, reply)
            yield chat_pb2.GetChatCompletionChunk(id="1", model=reply.model, outputs=[output], **last)

    async def _next(self, request: Any, context: Any, *, stream: bool) -> Reply:
        reply = self._server._next_reply(ChatRequest(request.model, [], stream, {}, {}))
        tally = self._server.tally
        tally.requests += 1
        tally.streams += stream
        tally.statuses[reply.status] = tally.statuses.get(reply.status, 0) + 1
        if reply.status != 200:
            await context.abort(STATUS_CODES[reply.status], "scripted failure")
        return reply

    def _count(self, request: Any, reply: Reply) -> None:
        assert reply.usage is not None
        self._server.tally.prompt_tokens += reply.usage.prompt
        self._server.tally.completion_tokens += reply.usage.completion
        self._server.tally.usages.append((request.model, reply.usage))


def sampled(reply: Reply) -> Any:
    """Return a SamplingUsage."""
    assert reply.usage is not None
    usage = reply.usage
    return usage_pb2.SamplingUsage(
        prompt_tokens=usage.prompt,
        prompt_text_tokens=usage.prompt,
        cached_prompt_text_tokens=usage.cached,
        completion_tokens=usage.completion - usage.reasoning,
        reasoning_tokens=usage.reasoning,
        total_tokens=usage.prompt + usage.completion,
        cost_in_usd_ticks=TICKS,
    )
