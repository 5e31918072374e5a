"""The model that wraps another one and emits events for each request to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from ...bus.failures import strict_blocks
from ...bus.scope import get_current_scope
from ...llm import llm_attempted, llm_call_started, llm_called, llm_usage_billed
from ...tools import tool_called
from ..model_calls.claims import current_claim
from .batches import FailedBatches, decode_result, emit_failed_requests, outermost
from .billing import PriceFunction
from .call_state import RequestSpec
from .calls import OngoingRequest
from .current_request import current_request
from .http_client import observe_model
from .output_faults import SchemaValidator
from .reported import observe_usage
from .stream_ends import finish_stream, track_stream
from .suspended import SuspendedRequests
from .tool_calls import observe_tools


def is_idle() -> bool:
    """Return whether nobody would get an event of a request: no listener, no span around, and no strict block."""
    if llm_called.receivers or llm_attempted.receivers or llm_call_started.receivers:
        return False
    if llm_usage_billed.receivers or tool_called.receivers or strict_blocks:
        return False
    return get_current_scope() is None and current_request.get() is None


class InstrumentedModel(WrapperModel):
    """The model that `instrument` returns."""

    emits_attempts = True

    def __init__(
        self,
        wrapped: Model,
        price: PriceFunction | None,
        is_valid_output: SchemaValidator | None,
        *,
        emit_tool_calls: bool,
    ) -> None:
        super().__init__(wrapped)
        observe_usage(wrapped)
        self._price = price
        self._is_valid_output = is_valid_output
        self._emit_tool_calls = emit_tool_calls
        self._suspended = SuspendedRequests(wrapped)
        self._failed_batches = FailedBatches()

    async def _request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Send a request, and emit its events when it ends; it is only sent where nobody would get them."""
        if is_idle():
            return await self.wrapped.request(messages, model_settings, model_request_parameters)
        request = self._start(messages, model_settings, model_request_parameters, streamed=False)
        if self._emit_tool_calls and request.asker.has_run and not request.is_attempt:
            observe_tools(None)
        try:
            tokens = current_request.set(request), current_claim.set(request.call.claim)  # as its `as_parent`
            try:
                response = await self.wrapped.request(messages, model_settings, model_request_parameters)
            finally:
                current_request.reset(tokens[0])
                current_claim.reset(tokens[1])
        except BaseException as error:
            request.finish(request.status_of(error), error)
            raise
        if getattr(response, "state", None) == "suspended" and request.suspends(response):
            self._suspended.add(response, request)
        else:
            request.finish("success", response=response)
        return response

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Send a streamed request, and emit its events when the stream is exhausted, closed or dropped."""
        opening = self.wrapped.request_stream(messages, model_settings, model_request_parameters, run_context)
        if is_idle():
            async with opening as unobserved:
                yield unobserved
            return
        request = self._start(messages, model_settings, model_request_parameters, streamed=True)
        if self._emit_tool_calls and not request.is_attempt:
            observe_tools(run_context)
        try:
            async with AsyncExitStack() as stack:
                with request.as_parent():  # never across the yield: the consumer's own requests are no attempts
                    stream = await stack.enter_async_context(opening)
                track_stream(request, stream)
                yield stream
        except BaseException as error:
            finish_stream(request, error)
            raise
        if request.suspends(stream):
            self._suspended.add(stream, request)
        else:
            finish_stream(request, None)

    async def cancel_suspended_response(self, response: ModelResponse) -> None:
        """Cancel the job that a response waits for, and end its call."""
        try:
            await self.wrapped.cancel_suspended_response(response)
        finally:
            if self._suspended.suspends(response) and (request := self._suspended.pop(response)) is not None:
                request.finish("cancelled")

    async def batch_encode(self, request: Any) -> Any:
        """Encode a request for the batch API; an agent's run that asks so emits the uses of its tools as any other."""
        if self._emit_tool_calls:
            observe_tools(None)
        return await self.wrapped.batch_encode(request)

    async def batch_create(self, requests: Sequence[Any]) -> Any:
        """Submit a batch; where that fails, emit the events of each of its requests."""
        with outermost() as emits:
            try:
                return await self.wrapped.batch_create(requests)
            except Exception as error:
                if emits:
                    emit_failed_requests(self.wrapped, [self._spec([])] * len(requests), error)
                raise

    async def batch_results(self, batch: Any) -> Any:
        """Return the results of a batch; where it failed as a whole, emit the events of each of its requests."""
        with outermost() as emits:
            try:
                return await self.wrapped.batch_results(batch)
            except Exception as error:
                if emits and type(error).__name__ == "BatchJobError" and self._failed_batches.add(batch.id):
                    emit_failed_requests(self.wrapped, [self._spec([])] * batch.request_count, error)
                raise

    def batch_decode(self, result: Any, request: Any) -> ModelResponse:
        """Return the response in a result of a batch, and emit the events of its call."""
        spec = self._spec(request.messages, request.model_settings, request.model_request_parameters)
        return decode_result(self.wrapped, spec, result, self.wrapped.batch_decode, request)

    def _start(
        self,
        messages: list[ModelMessage],
        settings: ModelSettings | None,
        parameters: ModelRequestParameters,
        *,
        streamed: bool,
    ) -> OngoingRequest:
        if (polled := self._suspended.polled_response(messages)) is not None and (known := self._suspended.pop(polled)):
            return known
        request = OngoingRequest(
            self.wrapped, self._spec(messages, settings, parameters, streamed=streamed), self._suspended.suspends
        )
        if polled is not None:  # another process began it
            request.is_polling, request.call.is_timed = True, False
        for model in request.members:
            observe_model(model)
        return request

    def _spec(
        self,
        messages: list[ModelMessage],
        settings: ModelSettings | None = None,
        parameters: ModelRequestParameters | None = None,
        *,
        streamed: bool = False,
    ) -> RequestSpec:
        return RequestSpec(
            messages=messages,
            settings=settings,
            parameters=parameters or ModelRequestParameters(),
            streamed=streamed,
            price=self._price,
            is_valid_output=self._is_valid_output,
        )


# Not in the class: pydantic-ai wraps each `request` that a class has, and the wrapped model's is wrapped already.
InstrumentedModel.request = InstrumentedModel._request  # type: ignore[method-assign,assignment]  # noqa: SLF001  # its own
