"""One request to a model under way: a logical call, one of its attempts, or both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing, contextmanager, nullcontext
from contextvars import ContextVar
from time import perf_counter
from typing import Any

from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model, StreamedResponse
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from ...bus.context import current_scope, use_scope
from ...bus.failures import report_failure
from ...bus.fields import Status
from ...llm import llm_called
from .emit import Asked, Call, Ending, keep_bill, tell_attempt, tell_call, tell_start
from .error_types import timed_out


class Request:
    """One request under way; one inside another is an attempt at it."""

    def __init__(self, model: Model, asked: Asked) -> None:
        self.headers: Mapping[str, str] = {}
        self.status_code: int | None = None
        self._model = first_of(model)
        self._asked = asked
        self._outer = _under_way.get()
        self.call: Call = self._outer.call if self._outer else Call(asked, model.model_name)
        self._nested = False
        self._stream: StreamedResponse | None = None
        self._watched = False
        self._yielded = False
        self._first_token: float | None = None
        self._told = False
        self._scope = current_scope.get()  # a stream may be read in another context than it was opened in
        self._cut: BaseException | None = None
        self._ended: float | None = None
        if self._outer:
            self._outer._nested = True  # noqa: SLF001  # its own kind
        else:
            tell_start(self.call, self._model)
        self._began = perf_counter()
        if self.call.model != self._model.model_name:
            self.call.turned = self._began

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Let requests made meanwhile be attempts at this one."""
        token = _under_way.set(self)
        try:
            yield
        finally:
            _under_way.reset(token)

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
            report_failure(llm_called.name, "pydantic_ai", failure)

    async def _events(self, source: Any, stream: StreamedResponse) -> AsyncIterator[Any]:
        try:
            async with aclosing(source) as items:
                async for item in items:
                    self._yielded = True
                    if self._first_token is None and is_token(item):
                        self._first_token = perf_counter()
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
                report_failure(llm_called.name, "pydantic_ai", failure)
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
        settings = self._asked.settings or ModelSettings()
        limits = [settings.get("request_timeout")]
        if self._asked.streamed and not self._yielded:
            limits.append(settings.get("first_event_timeout"))
        # A limit holds for all attempts at a model, and begins a moment before the first of them does.
        spent = (self._ended or perf_counter()) - self.call.turned + 0.02
        return any(limit is not None and spent >= limit for limit in limits)

    def end(
        self,
        status: Status,
        error: BaseException | None = None,
        answer: ModelResponse | StreamedResponse | None = None,
    ) -> None:
        """Tell the request, once; whatever goes wrong in telling stays here."""
        if self._told:
            return
        self._told = True
        self._ended = self._ended or perf_counter()
        try:
            with use_scope(self._scope) if self._scope else nullcontext():
                ending = Ending(
                    status=status, error=error, began=self._began, ended=self._ended, first_token=self._first_token
                )
                if not self._nested:
                    tell_attempt(self.call, self._model, ending, self.headers, self.status_code)
                    if self._outer and answer is not None and status != "success":
                        keep_bill(self.call, self._model, answer)
                if self._outer is None:
                    tell_call(self.call, self._model, ending, answer)
        except Exception as failure:
            report_failure(llm_called.name, "pydantic_ai", failure)


def first_of(model: Model) -> Model:
    """Find the model that is asked first, under everything that is wrapped around it."""
    while isinstance(model, (WrapperModel, FallbackModel)):
        model = model.wrapped if isinstance(model, WrapperModel) else model.models[0]
    return model


def is_token(event: Any) -> bool:
    """Tell whether a stream's event brings something written, and not its frame alone."""
    part = getattr(event, "part", None)
    if part is None:
        return hasattr(event, "delta")
    return bool(getattr(part, "content", None) or getattr(part, "args", None) or getattr(part, "tool_name", None))


async def record_response_headers(response: Any) -> None:
    """Note the head of an HTTP response: hook it into the client that a provider uses, for what it says of limits."""
    request = _under_way.get()
    if request is not None:
        request.headers, request.status_code = response.headers, response.status_code


_under_way: ContextVar[Request | None] = ContextVar("events.bridges.pydantic_ai", default=None)
