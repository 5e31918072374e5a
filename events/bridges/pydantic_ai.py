"""Every request to a language model through pydantic-ai told as `llm_called`, whatever the provider.

>>> agent = Agent(observed(infer_model("openai:gpt-4o-mini")))  # doctest: +SKIP

What is told are names, numbers and the class of an error; never a prompt, an output or an error's message.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar
from time import perf_counter
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from ..fields import UNKNOWN, Status
from ..llm import llm_called
from ..scope import Inside, current
from ..signal import tell_failure


def observed(model: Model) -> Model:
    """Wrap a model so that each request to it is told once, streamed or not.

    What counts as a request is what is wrapped. ``observed(FallbackModel(a, b))`` tells one logical call, with the
    model that answered and ``fallback:a,b`` as the one that was asked. ``FallbackModel(observed(a), observed(b))``
    tells each attempt. Where both are wrapped the outer one tells, so that no token counts twice. Retries inside a
    provider's SDK belong to the call.

    A limit that is to be told as a timeout must reach the model: ``timeout`` or ``request_timeout`` in its settings.
    `asyncio.timeout` around an agent arrives here as a cancellation and is told as one.
    """
    return model if isinstance(model, Observed) else Observed(model)


class Observed(WrapperModel):
    """The model that `observed` makes."""

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Make a request and tell it."""
        if _calling.get():
            return await self.wrapped.request(messages, model_settings, model_request_parameters)
        call = Call(self.wrapped, model_settings, streamed=False)
        try:
            with calling():
                response = await self.wrapped.request(messages, model_settings, model_request_parameters)
        except BaseException as error:
            call.end(call.reason(error), error)
            raise
        call.end("success", answer=response)
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
        if _calling.get():
            async with opening as stream:
                yield stream
            return
        call = Call(self.wrapped, model_settings, streamed=True)
        try:
            async with AsyncExitStack() as stack:
                with calling():  # never across the yield: what the consumer calls meanwhile is a call of its own
                    stream = await stack.enter_async_context(opening)
                call.watch(stream)
                yield stream
        except BaseException as error:
            call.leave(error)
            raise
        call.leave(None)


class Call:
    """One request under way."""

    def __init__(self, model: Model, settings: ModelSettings | None, *, streamed: bool) -> None:
        self._model = model
        self._settings = settings or ModelSettings()
        self._streamed = streamed
        self._stream: StreamedResponse | None = None
        self._watched = False
        self._yielded = False
        self._told = False
        self._scope = current.get()  # a stream may be read in another context than it was opened in
        self._cut: BaseException | None = None
        self._ended: float | None = None
        self._began = perf_counter()

    def watch(self, stream: StreamedResponse) -> None:
        """Notice when the provider's events end, which may be long before the consumer leaves the stream.

        The method that is replaced is the one that every provider's stream implements. A stream that is read already
        (`FallbackModel` waits for a first event) is told when it is left.
        """
        self._stream = stream
        try:
            if stream._event_iterator is None:  # noqa: SLF001  # see above
                source = stream._get_event_iterator  # noqa: SLF001
                stream._get_event_iterator = lambda: self._events(source(), stream)  # type: ignore[method-assign]  # noqa: SLF001
                self._watched = True
        except Exception as failure:
            tell_failure(llm_called.name, "observed", failure)

    async def _events(self, source: Any, stream: StreamedResponse) -> AsyncIterator[Any]:
        try:
            async with aclosing(source) as items:
                async for item in items:
                    self._yielded = True
                    yield item
        except Exception as error:
            self.end("cancelled" if stream.cancelled else self.reason(error), error, stream)
            raise
        except BaseException as cut:  # by whom and why shows when the stream is left
            self._cut, self._ended = cut, perf_counter()
            raise
        self.end("cancelled" if stream.cancelled else "success", answer=stream)

    def leave(self, error: BaseException | None) -> None:
        """Tell a stream that is left, unless its end was told before."""
        if self._told:
            return
        if error is None or isinstance(error, GeneratorExit):
            error = self._cut or error
        stream, status = self._stream, self.reason(error)
        if stream is not None and error is None:
            try:
                status = "success" if stream.get().state in ("complete", "suspended") else "cancelled"
            except Exception as failure:
                tell_failure(llm_called.name, "observed", failure)
        elif stream is not None and status == "error" and (self._watched or stream.cancelled):
            status = "cancelled"  # the consumer failed, not the model: its events would have told
        self.end(status, error, stream)

    def reason(self, error: BaseException | None) -> Status:
        """Say how a request ended that raised ``error``."""
        if error is None:
            return "success"
        if timed_out(error) or (isinstance(error, asyncio.CancelledError) and self._out_of_time()):
            return "timeout"
        return "error" if isinstance(error, Exception) else "cancelled"

    def _out_of_time(self) -> bool:
        """Tell whether pydantic-ai's own limit ran out: it is enforced around the request, by a cancellation."""
        limits = [self._settings.get("request_timeout")]
        if self._streamed and not self._yielded:
            limits.append(self._settings.get("first_event_timeout"))
        # The limit begins a moment before the request does.
        spent = (self._ended or perf_counter()) - self._began + 0.02
        return any(limit is not None and spent >= limit for limit in limits)

    def end(
        self,
        status: Status,
        error: BaseException | None = None,
        answer: ModelResponse | StreamedResponse | None = None,
    ) -> None:
        """Tell the call, once; whatever goes wrong in telling stays here."""
        if self._told:
            return
        self._told = True
        duration = (self._ended or perf_counter()) - self._began
        try:
            asked = self._model.model_name or UNKNOWN
            prompt, completion = (None, None) if answer is None else tokens(answer.usage)
            with Inside(self._scope) if self._scope else nullcontext():
                llm_called.emit(
                    model=(answer and answer.model_name) or asked,
                    requested_model=asked,
                    provider=(answer and answer.provider_name) or self._model.system or UNKNOWN,
                    status=status,
                    duration=duration,
                    # A closed stream is no error; GeneratorExit is how Python closes one.
                    error="" if error is None or isinstance(error, GeneratorExit) else type(error).__name__,
                    streamed=self._streamed,
                    prompt_tokens=prompt,
                    completion_tokens=completion,
                )
        except Exception as failure:
            tell_failure(llm_called.name, "observed", failure)


def tokens(usage: RequestUsage) -> tuple[int | None, int | None]:
    """Give the prompt and completion tokens that the provider counted; None for what it did not say.

    pydantic-ai has normalised both: the prompt with cached tokens inside, the completion with reasoning inside. It
    writes 0 where nothing was said, and notes most of those cases in ``unmeasured_requests``. No request has an empty
    prompt, so 0 there is unknown (Ollama leaves a wholly cached one out); an empty completion beside a prompt is real.
    """
    if getattr(usage, "unmeasured_requests", 0):  # newer than pydantic-ai 2.0
        return None, None
    prompt = usage.input_tokens if usage.input_tokens > 0 else None
    completion = usage.output_tokens if usage.output_tokens > 0 or (prompt and usage.output_tokens == 0) else None
    return prompt, completion


def timed_out(error: BaseException | None) -> bool:
    """Tell whether a timeout is behind an error: itself, what caused it, or everything in a group.

    The SDKs have classes of their own (httpx's ``ReadTimeout``, OpenAI's ``APITimeoutError``); only the name is asked.
    """
    while error is not None:
        if isinstance(error, TimeoutError) or any("Timeout" in kind.__name__ for kind in type(error).__mro__):
            return True
        if isinstance(error, BaseExceptionGroup):
            return all(timed_out(member) for member in error.exceptions)
        error = error.__cause__
    return False


_calling: ContextVar[bool] = ContextVar("events.bridges.pydantic_ai", default=False)


@contextmanager
def calling() -> Iterator[None]:
    """Let observed models inside an observed model keep quiet."""
    token = _calling.set(True)
    try:
        yield
    finally:
        _calling.reset(token)
