"""How a model is called: within a time limit, and no longer than somebody waits for the answer."""

from __future__ import annotations

import asyncio

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings, merge_model_settings

from events.bridges.pydantic_ai import instrument

from .embedded.remote import RemoteEmbeddedServer
from .embedded.server import EmbeddedServer

# The model likes to say again what it has read or said. A sampler of llama.cpp's makes it ever less likely to repeat
# more than so many tokens; those of a brand's or product's name have to be repeated.
ONE_PARAGRAPH = ModelSettings(
    stop_sequences=["\n\n"],
    frequency_penalty=0.3,
    extra_body={"dry_multiplier": 0.8, "dry_allowed_length": 6, "dry_penalty_last_n": 512},
)


class TimeoutModel(WrapperModel):
    """A model whose calls end in time, and whose SDK makes them once: what is made again is made by `RetryingModel`.

    pydantic-ai keeps the time itself for a model that stands alone. In a chain it would ask the innermost model for its
    limit, which knows none: there it is kept here (``in_chain``).
    """

    def __init__(self, wrapped: Model, limit: float, *, in_chain: bool = False) -> None:
        super().__init__(wrapped)
        self._limit = limit if in_chain else None
        # `timeout` is the transport's, between two bytes; `request_timeout` is pydantic-ai's, for the whole call. A
        # setting that a provider does not know is left out, since it would warn at every call.
        wanted = ModelSettings(timeout=limit, request_timeout=limit, max_retries=0)
        unknown: frozenset[str] = getattr(wrapped, "unsupported_settings", frozenset())
        self._limits = ModelSettings(**{name: value for name, value in wanted.items() if name not in unknown})  # type: ignore[typeddict-item]  # its own keys

    @property
    def settings(self) -> ModelSettings | None:
        """The wrapped model's settings, with the limits."""
        return merge_model_settings(self.wrapped.settings, self._limits)

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Make the call within the limits."""
        limited = merge_model_settings(self._limits, model_settings)
        async with asyncio.timeout(self._limit):
            return await self.wrapped.request(messages, limited, model_request_parameters)


class Embedded(WrapperModel):
    """The embedded model: brought back when its process died, and stopped when its answer is no longer awaited.

    llama.cpp notices that a caller hung up when it writes to him. So the answer is always streamed: without, a
    cancelled call went on for as long as its answer was long.
    """

    def __init__(self, wrapped: OpenAIChatModel, server: EmbeddedServer | RemoteEmbeddedServer) -> None:
        super().__init__(wrapped)
        self._chat = wrapped
        self._streaming = instrument(wrapped)  # each attempt is told, with the time of its first token
        self._server = server

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask for an answer and collect it."""
        if not await asyncio.to_thread(self._server.answers):
            await asyncio.to_thread(self._server.revive)
            self._chat.client.base_url = self._server.base_url
        if model_request_parameters.output_mode == "text":
            model_settings = merge_model_settings(ONE_PARAGRAPH, model_settings)
        async with self._streaming.request_stream(messages, model_settings, model_request_parameters) as stream:
            async for _ in stream:
                pass
        return stream.get()
