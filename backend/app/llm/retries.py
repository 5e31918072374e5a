"""Retries of model calls that failed with a transient error."""

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

from .call_gate import pass_gate

INITIAL_BACKOFF = 0.5  # seconds at most; it doubles from one attempt to the next
MAX_BACKOFF = 30.0  # seconds

TRANSIENT_ERRORS = (
    exceptions.ModelRateLimitError,
    exceptions.ModelServerError,
    exceptions.ModelUnavailableError,
    exceptions.ModelConnectionError,
)
"""Errors that may be over at the next attempt; a used up quota, a refusal and a timeout are not among them."""


class RetryingModel(WrapperModel):
    """A model whose calls are retried after transient errors, as late as the provider's Retry-After or a backoff says.

    It gives up after ``retries`` retries, and sooner if the next wait would exceed the time limit of the whole call: a
    provider that asks to wait for an hour fails at once, and the next model of a chain is asked.
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
        """Make the call, with retries."""
        return await self._retrying()(self.wrapped.request, messages, model_settings, model_request_parameters)

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Open a stream, with retries; an error while it is read is not retried."""
        async with AsyncExitStack() as stack:

            async def open_stream() -> StreamedResponse:
                return await stack.enter_async_context(
                    self.wrapped.request_stream(messages, model_settings, model_request_parameters, run_context)
                )

            yield await self._retrying()(open_stream)

    def _retrying(self) -> AsyncRetrying:
        return AsyncRetrying(
            retry=retry_if_exception(is_transient),
            wait=retry_delay,
            stop=stop_after_attempt(1 + self._retries) | stop_before_delay(self._limit),
            before=lambda _: pass_gate(),
            reraise=True,
        )


def is_transient(error: BaseException) -> bool:
    """Return whether an error may be over at the next attempt; a provider's own hint that it is not decides."""
    if isinstance(error, exceptions.ModelHTTPError) and error.provider_retry_hint is False:
        return False
    return isinstance(error, TRANSIENT_ERRORS) and not isinstance(error, exceptions.ModelTimeoutError)


def retry_delay(state: RetryCallState) -> float:
    """Return the seconds to wait: the provider's Retry-After, or else an exponential backoff with full jitter."""
    error = state.outcome.exception() if state.outcome else None
    retry_after = getattr(error, "retry_after", None)
    return float(retry_after) if retry_after is not None else _backoff(state)


_backoff = wait_random_exponential(multiplier=INITIAL_BACKOFF, max=MAX_BACKOFF)
