"""One ongoing request to a model: a logical call, one of its attempts, or both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from dataclasses import replace
from time import perf_counter
from typing import Any

from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model, StreamedResponse

from ...agents import agent_run
from ...bus.failures import report_failure
from ...bus.fields import ErrorType, Status
from ...bus.scope import Scope, get_current_scope, get_effective_scope, use_scope
from ...bus.span import current_span
from ...llm import llm_called
from ..model_calls.claims import Claim, current_claim
from ..model_calls.error_types import status_of_error
from ..model_calls.event_scope import IN_EFFECT
from ..model_calls.response_headers import read_headers
from ..model_calls.token_times import TokenTimes
from .answers import add_answer, model_response
from .call_state import AnyResponse, CallState, RequestOutcome, RequestSpec
from .emit import emit_attempted, emit_call_started, emit_called
from .http_attempts import HTTPAttempt, attempts_at_answer, last_outcome, retried_by, retried_outcome
from .members import answering_model, asks_instrumented, first_model, leaf_models
from .reported import keep_headers
from .request_limits import limits_began, shortest_limit
from .response import UNREADABLE, lacks_end, response_fault
from .stream_events import StreamEvents
from .tool_calls import current_run_context


class OngoingRequest:
    """A request that has not ended yet; one that is made inside another is an attempt at it."""

    def __init__(self, model: Model, spec: RequestSpec, suspends: Callable[[Any], bool] = lambda _: False) -> None:
        self.suspends = suspends
        self.headers: Mapping[str, str] = {}
        self.status_code: int | None = None
        self.http_requests: list[HTTPAttempt] = []
        self.is_streamed = spec.streamed
        self.is_polling = False
        """Whether its job is under way and polled for; the polls are no attempts."""
        self._model = first_model(model)
        self._asked = model
        self.members = leaf_models(model)
        self._spec = spec
        self._asker = current_asker()
        around = current_request.get()
        # What a call leaves running may make requests after its end, and a wrapper may ask another agent, to judge an
        # answer for example: those are calls of their own.
        is_own = around is None or around.call.has_ended or around._asker != self._asker  # noqa: SLF001  # of the same class
        self._parent = None if is_own else around
        self.call: CallState = self._parent.call if self._parent else CallState(spec, model.model_name)
        self._has_attempts = False
        self._stream: StreamedResponse | None = None
        self._events = StreamEvents()
        self._fault: ErrorType | None = None
        self._emitted = False
        self._scope = get_effective_scope()  # a stream may be read in another context than it was opened in
        self._ended_at: float | None = None
        self._started_at = perf_counter()
        if self._parent:
            self._parent._has_attempts = True  # noqa: SLF001  # of the same class
        elif not self.call.claim.is_started:
            self.call.claim.is_started = True
            self._emit_started()
        self._started_at = perf_counter()
        if self._parent is None:
            self.call.started_at = self._started_at
        if self.call.started != (asked := self.call.names_of(self._model)):
            self.call.started, self.call.limits_began = asked, limits_began(self._limit(), self._started_at)

    def _emit_started(self) -> None:
        try:
            emit_call_started(self.call, self._model)
        except BaseException as interruption:  # of one listener: for the others the call is under way
            self._emitted = True
            self._end_unread(status_of_error(interruption), interruption)
            raise

    @property
    def is_attempt(self) -> bool:
        """Whether it is made inside another request."""
        return self._parent is not None

    def resume(self) -> None:
        """Have the events be emitted where the request is resumed, which may be in another run of an agent."""
        self._scope = get_effective_scope()

    def as_parent(self) -> AsParent:
        """Return a ``with`` block; requests that start inside of it are attempts at this one."""
        return AsParent(self)

    def track_stream(self, stream: StreamedResponse) -> None:
        """Have the end of the provider's events end the request; it ends when it is closed where that cannot be."""
        self._stream = stream
        try:
            self._events.track(stream, self._finish_events)
        except Exception as failure:
            report_failure(llm_called.name, "pydantic_ai", failure)

    def _finish_events(self, stream: StreamedResponse, error: BaseException | None) -> None:
        if stream.cancelled:
            self.finish("cancelled", error, stream)
        elif error is not None:
            self.finish(self.status_of(error), error, stream)
        elif self.suspends(stream):
            return
        elif lacks_end(stream):
            self._fault = "invalid_response"
            self.finish("error", response=stream)
        else:
            self.finish("success", response=stream)

    def finish_stream(self, error: BaseException | None) -> None:
        """Emit the events of a stream that is closed, or whose consumer raised ``error``, unless that is done."""
        if self._emitted:
            return
        if error is None or isinstance(error, GeneratorExit):
            error = self._events.interruption or error
        stream, status = self._stream, self.status_of(error)
        last_response, last = self.call.last or (None, None)
        if stream is not None and last is not None and last_response is stream and not self._events.are_tracked:
            self._events.end_as(last.ended_at, last.reader_pauses)
        if stream is not None and error is None and last is not None and last_response is stream:
            status, self._fault = last.status, last.fault  # its attempt has seen the end
        elif stream is not None and error is None:
            try:
                status = "success" if stream.get().state in ("complete", "suspended") else "cancelled"
            except Exception as failure:
                report_failure(llm_called.name, "pydantic_ai", failure)
        elif stream is not None and status == "error" and (self._events.are_tracked or stream.cancelled):
            status = "cancelled"  # the consumer failed, not the model: that would have ended its events
        self.finish(status, error, stream)

    def status_of(self, error: BaseException | None) -> Status:
        """Return the status of a request that raised ``error``."""
        if error is None:
            return "success"
        if isinstance(error, asyncio.CancelledError) and self._exceeded_limit():
            return "timeout"
        return status_of_error(error)

    def _exceeded_limit(self) -> bool:
        """Return whether a limit of pydantic-ai's own ran out, which holds for all attempts at a model."""
        limit = self._limit()
        return limit is not None and (self._events.ended_at or perf_counter()) - self.call.limits_began >= limit

    def _limit(self) -> float | None:
        awaits_first_event = self._spec.streamed and not self._events.has_any
        return shortest_limit(self._spec.settings, awaits_first_event=awaits_first_event)

    def finish(
        self,
        status: Status,
        error: BaseException | None = None,
        response: ModelResponse | StreamedResponse | None = None,
    ) -> None:
        """Emit the events of the request, once; a failure to do so is reported and not raised."""
        if self._emitted:
            return
        self._emitted = True
        self._ended_at = self._events.ended_at or perf_counter()
        try:
            self._emit_end(status, error, response, self._ended_at)
        except BaseException as failure:
            self._end_unread(status, error)
            if not isinstance(failure, Exception):  # a listener was interrupted
                raise
            report_failure(llm_called.name, "pydantic_ai", failure)
        if self._parent is None:
            self.call.interruptions.raise_first()

    def _emit_end(
        self, status: Status, error: BaseException | None, response: AnyResponse | None, ended_at: float
    ) -> None:
        if self.http_requests:
            answered = self.http_requests[-1]
            self.headers, self.status_code = answered.headers, answered.status_code
        self.headers = read_headers(self.headers)
        if response is not None:
            keep_headers(response, self.headers)
        with in_effect(self._scope):
            status = self._judge(status, error, response)
            outcome = RequestOutcome(
                status=status,
                error=error,
                started_at=self._started_at,
                ended_at=ended_at,
                token_times=self._events.token_times,
                fault=self._fault if status == "error" else None,
                reader_pauses=self._events.pause_seconds(),
                asked_at=self._asked_at(),
            )
            if not self._has_attempts:
                if response is not None and len(self.members) > 1:
                    self._model = answering_model(self.members, response) or self._model
                if response is not None:  # first, as a price takes time: the attempt and its call end together
                    add_answer(self.call, self._model, response, complete=status == "success")
                self._emit_attempts(outcome, response)
            if self._parent is None:
                self.call.claim.has_ended = True
                emit_called(self.call, self._model, outcome, response)

    def _end_unread(self, status: Status, error: BaseException | None) -> None:
        """End the call without what was to be read of its answer, unless that is done."""
        if self._parent is not None or self.call.is_emitted:
            return
        ended_at, self.call.claim.has_ended = self._ended_at or perf_counter(), True
        outcome = RequestOutcome(
            status=status, error=error, started_at=self._started_at, ended_at=ended_at, token_times=TokenTimes()
        )
        try:
            emit_called(self.call, self._model, outcome, None)
        except Exception as failure:
            report_failure(llm_called.name, "pydantic_ai", failure)

    def _asked_at(self) -> tuple[float, ...]:
        """Return when this instrumented model was asked, and those around it, innermost first."""
        around = () if self._parent is None else self._parent._asked_at()  # noqa: SLF001  # of the same class
        return self._started_at, *around

    def _judge(self, status: Status, error: BaseException | None, response: AnyResponse | None) -> Status:
        """Return the status by what was answered, and record why a request failed that raised nothing that says so."""
        if status == "success" and response is not None:
            self._fault = response_fault(model_response(response))
            return "error" if self._fault else status
        last = self.call.last[1] if self.call.last else None
        if status == "error" and error is not None and last is not None and last.error is error:
            self._fault = last.fault  # its attempt knows
        elif status == "error" and self.http_requests and self.http_requests[-1].exceeds_quota:
            self._fault = "quota_exceeded"
        elif status == "error" and isinstance(error, UNREADABLE) and self.status_code in range(200, 300):
            self._fault = "invalid_response"
        return status

    def start_http_request(self, request: HTTPAttempt) -> None:
        """Add a request that the SDK sends now; emit the attempts that failed before, and that it sends again."""
        failed = retried_by(self.http_requests, request)
        self.http_requests.append(request)
        if failed and len(self.members) == 1 and not self._has_attempts:
            with in_effect(self._scope):
                self._emit_retried(failed)

    def _emit_retried(self, attempts: Sequence[HTTPAttempt]) -> None:
        for each in attempts:
            outcome = retried_outcome(self.http_requests, each, self._started_at)
            outcome = replace(outcome, asked_at=self._asked_at())
            emit_attempted(self.call, self._model, outcome, None, read_headers(each.headers), each.status_code)

    def _emit_attempts(self, outcome: RequestOutcome, response: ModelResponse | StreamedResponse | None) -> None:
        """Emit `llm_attempted` for each HTTP request that was not emitted yet, or once where none was observed.

        Of several models, which one a request was for is not known. One that failed before an instrumented model that
        it wraps was asked, as in the queue of a limiter, was no attempt.
        """
        queue, requests = self.call.intervals, self.http_requests
        if outcome.status != "success" and asks_instrumented(self._asked):
            queue.append(("queue", self._started_at, outcome.ended_at))
            return
        given_up = [each for each in requests if each.was_given_up_in_queue]
        queue += [("queue", each.started_at, each.ended_at or outcome.ended_at) for each in given_up]
        if given_up and (given_up == requests or self._ends_in_queue(outcome)):
            return
        if requests and len(self.members) == 1:
            if len(requests) > 1:
                earlier = attempts_at_answer(requests)[:-1]
                self._emit_retried([each for each in earlier if not each.is_emitted])
            outcome = last_outcome(requests, outcome)
        # Which of several models a failure's headers are of is not known either.
        headers = self.headers if response is not None or len(self.members) == 1 else {}
        emit_attempted(self.call, self._model, outcome, response, headers, self.status_code)

    def _ends_in_queue(self, outcome: RequestOutcome) -> bool:
        """Return whether it failed while the SDK waited to send it again; what failed before is emitted."""
        return outcome.status != "success" and len(self.members) == 1 and self.http_requests[-1].was_given_up_in_queue


class AsParent:
    """A ``with`` block in which requests that start are attempts at one, and calls that other bridges see are its."""

    __slots__ = ("_claim", "_request", "_token")

    def __init__(self, request: OngoingRequest) -> None:
        self._request = request

    def __enter__(self) -> None:
        self._token: Token[OngoingRequest | None] = current_request.set(self._request)
        self._claim: Token[Claim | None] = current_claim.set(self._request.call.claim)

    def __exit__(self, *_: object) -> None:
        current_claim.reset(self._claim)
        current_request.reset(self._token)


def in_effect(scope: Scope | None) -> AbstractContextManager[None]:
    """Return a ``with`` block inside a scope, wherever the running code is; None is wherever that is."""
    return IN_EFFECT if scope is None or get_current_scope() is scope else use_scope(scope)


def current_asker() -> tuple[object, object]:
    """Return who asks a model here: the innermost span of an agent, and the id of pydantic-ai's run of one."""
    try:
        run = current_run_context()
    except ImportError:  # a version that has no such way; `tool_calls` reports it
        run = None
    return current_span(agent_run), getattr(run, "run_id", None)


async def record_response_headers(response: Any) -> None:
    """Record the status code and headers of an HTTP response, for the rate limits in them.

    It is a response hook for the client of an SDK that `instrument` does not observe by itself; see
    `observe_http_client`, which sees retries too.
    """
    request = current_request.get()
    if request is not None:
        request.headers, request.status_code = response.headers, response.status_code


current_request: ContextVar[OngoingRequest | None] = ContextVar("events.bridges.pydantic_ai", default=None)
