"""A model that is asked again when it fails in a way that passes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from pydantic_ai import RunContext, exceptions
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

FIRST_WAIT = 0.5  # seconds at most; it doubles from one try to the next
LONGEST_WAIT = 30.0

PASSING = (
    exceptions.ModelRateLimitError,
    exceptions.ModelServerError,
    exceptions.ModelUnavailableError,
    exceptions.ModelConnectionError,
)
"""What may be over at the next try; used up quotas, refusals and limits of time are not."""


class RetryingModel(WrapperModel):
    """A model whose failed calls are made again, after as long a wait as the provider asks for or an ever longer one.

    It gives up after so many retries, and sooner where the next wait would pass the limit of the whole call: a provider
    that wants to be left alone for an hour fails at once, and the next model of a chain gets its turn.
    """

    def __init__(self, wrapped: Model, retries: int, limit: float) -> None:
        super().__init__(wrapped)
        self._retries = retries
        self._limit = limit

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask until an answer comes."""
        return await self._tries()(self.wrapped.request, messages, model_settings, model_request_parameters)

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Ask until a stream opens; what breaks after that is the reader's."""
        async with AsyncExitStack() as stack:

            async def open_one() -> StreamedResponse:
                return await stack.enter_async_context(
                    self.wrapped.request_stream(messages, model_settings, model_request_parameters, run_context)
                )

            yield await self._tries()(open_one)

    def _tries(self) -> AsyncRetrying:
        return AsyncRetrying(
            retry=retry_if_exception(passes),
            wait=wait_as_told,
            stop=stop_after_attempt(1 + self._retries) | stop_before_delay(self._limit),
            reraise=True,
        )


def passes(error: BaseException) -> bool:
    """Tell whether an error may be over at the next try; a provider that says so itself is believed."""
    if isinstance(error, exceptions.ModelHTTPError) and error.provider_retry_hint is False:
        return False
    return isinstance(error, PASSING) and not isinstance(error, exceptions.ModelTimeoutError)


def wait_as_told(state: RetryCallState) -> float:
    """Give the seconds to wait: those of the provider's Retry-After, else a random part of an ever longer time."""
    error = state.outcome.exception() if state.outcome else None
    told = getattr(error, "retry_after", None)
    return float(told) if told is not None else _backoff(state)


_backoff = wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT)
