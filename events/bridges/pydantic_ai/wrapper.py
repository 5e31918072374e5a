"""The model that tells every request to the one it wraps."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from .calls import Request
from .emit import Asked
from .response import Fits
from .usage import Price


def instrument(model: Model, *, price: Price | None = None, fits: Fits | None = None) -> Model:
    """Wrap a model so that each request to it is told once, streamed or not.

    What counts as a call is what is wrapped outermost, what counts as an attempt what is wrapped innermost: around a
    fallback or something that retries, wrap both it and its members. ``instrument(FallbackModel(instrument(a),
    instrument(b)))`` emits one `llm_called`, with the model that answered and ``fallback:a,b`` as the one asked for,
    and an `llm_attempted` for each member that was tried; a model that is wrapped once makes one attempt a call. No
    token counts twice. Retries inside a provider's SDK belong to an attempt; ``max_retries=0`` in the model's settings
    turns them off.

    ``price`` gives the cost of a call and ``fits`` holds typed answers against their schema; without them the cost is
    unknown, and only an answer that is no JSON is told as one that does not fit. Both belong to the outermost.

    A limit that is to be told as a timeout must reach the model: ``timeout`` or ``request_timeout`` in its settings.
    `asyncio.timeout` around an agent arrives here as a cancellation and is told as one.
    """
    return model if isinstance(model, InstrumentedModel) else InstrumentedModel(model, price, fits)


class InstrumentedModel(WrapperModel):
    """The model that `instrument` makes."""

    def __init__(self, wrapped: Model, price: Price | None, fits: Fits | None) -> None:
        super().__init__(wrapped)
        self._price = price
        self._fits = fits

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Make a request and tell it."""
        request = self._begin(messages, model_settings, model_request_parameters, streamed=False)
        try:
            with request.under_way():
                response = await self.wrapped.request(messages, model_settings, model_request_parameters)
        except BaseException as error:
            request.end(request.reason(error), error)
            raise
        request.end("success", answer=response)
        return response

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Make a streamed request and tell it when the stream is exhausted, closed or dropped."""
        opening = self.wrapped.request_stream(messages, model_settings, model_request_parameters, run_context)
        request = self._begin(messages, model_settings, model_request_parameters, streamed=True)
        try:
            async with AsyncExitStack() as stack:
                with request.under_way():  # never across the yield: what the consumer calls meanwhile is its own
                    stream = await stack.enter_async_context(opening)
                request.watch(stream)
                yield stream
        except BaseException as error:
            request.leave(error)
            raise
        request.leave(None)

    def _begin(
        self,
        messages: list[ModelMessage],
        settings: ModelSettings | None,
        parameters: ModelRequestParameters,
        *,
        streamed: bool,
    ) -> Request:
        asked = Asked(
            messages=messages,
            settings=settings,
            parameters=parameters,
            streamed=streamed,
            price=self._price,
            fits=self._fits,
        )
        return Request(self.wrapped, asked)
