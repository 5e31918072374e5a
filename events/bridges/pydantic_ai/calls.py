"""One ongoing request to a model: a logical call, one of its attempts, or both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from time import perf_counter
from typing import Any

from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model, StreamedResponse

from ...bus.failures import report_failure
from ...bus.fields import ErrorType, Status
from ...bus.scope import get_effective_scope
from ...llm import llm_called
from ..model_calls.error_types import status_of_error
from ..model_calls.event_scope import IN_EFFECT, in_scope
from ..model_calls.frozen import make_frozen
from ..model_calls.response_headers import NO_HEADERS, read_headers
from ..model_calls.token_times import TokenTimes
from .answers import add_answer, model_response
from .call_state import AnyResponse, CallState, RequestOutcome, RequestSpec
from .current_request import AsParent, current_asker, current_request
from .emit import emit_call_started, emit_called
from .http_attempts import HTTPAttempt, retried_by
from .members import answering_model, leaf_models
from .reported import keep_headers
from .request_attempts import emit_attempts, emit_retried
from .request_limits import limits_began, shortest_limit
from .response import UNREADABLE, response_fault
from .stream_events import NOT_STREAMED, StreamEvents
from .usual_end import emit_usual_end, is_usual


class OngoingRequest:
    """A request that has not ended yet; one that is made inside another is an attempt at it.

    Attributes:
        asked: The model that it is made to, which may stand for others.
        members: The models that may answer it.
        model: The one of them that has answered, or else is asked first.
        started_at: When it began, by `time.perf_counter`.
        http_requests: What the SDK has sent for it.
        headers: Those of the response, as far as they are known.
        asker: Who makes it.
        call: The call that it is, or is an attempt at.
        has_attempts: Whether others were made inside of it.
        stream: The one that was opened last.
        stream_events: The events of it.
        fault: Why it failed where nothing was raised that says so.
        is_emitted: Whether its end is emitted, or just being so.
        is_polling: Whether its job is under way and polled for; the polls are no attempts.
    """

    # Defaults of the class: what most requests do not change, since each attribute that is set takes time.
    headers: Mapping[str, str] = NO_HEADERS
    status_code: int | None = None
    is_polling = has_attempts = is_emitted = False
    call: CallState
    _parent: OngoingRequest | None = None
    stream: StreamedResponse | None = None
    fault: ErrorType | None = None
    _ended_at: float | None = None
    stream_events = NOT_STREAMED

    def __init__(self, model: Model, spec: RequestSpec, suspends: Callable[[Any], bool] = lambda _: False) -> None:
        self.suspends = suspends
        self.http_requests: list[HTTPAttempt] = []
        self.is_streamed = spec.streamed
        if spec.streamed:
            self.stream_events = StreamEvents()
        self.asked = model
        self.members = leaf_models(model)
        self.model = self.members[0]
        self._spec = spec
        self._scope = get_effective_scope()  # a stream may be read in another context than it was opened in
        self.asker = current_asker(self._scope)
        around = current_request.get()
        # What a call leaves running may make requests after its end, and a wrapper may ask another agent, to judge an
        # answer for example: those are calls of their own.
        if around is not None and not around.call.has_ended and around.asker == self.asker:
            self._parent, self.call = around, around.call
            around.has_attempts = True
            self.started_at = perf_counter()
        else:
            self.call = CallState(spec, model.model_name)
            self._start_call()
        if self.call.started != (asked := self.call.names_of(self.model)):
            self.call.started, self.call.limits_began = asked, self.started_at
            if spec.settings:
                self.call.limits_began = limits_began(self._limit(), self.started_at)

    def _start_call(self) -> None:
        self.started_at = self.call.started_at
        if not self.call.claim.is_started:
            self.call.claim.is_started = True
            try:
                emit_call_started(self.call, self.model)
            except BaseException as interruption:  # of one listener: for the others the call is under way
                self.is_emitted = True
                self._end_unread(status_of_error(interruption), interruption)
                raise
        self.call.started_at = self.started_at = perf_counter()

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
        return limit is not None and (self.stream_events.ended_at or perf_counter()) - self.call.limits_began >= limit

    def _limit(self) -> float | None:
        awaits_first_event = self._spec.streamed and not self.stream_events.has_any
        return shortest_limit(self._spec.settings, awaits_first_event=awaits_first_event)

    def finish(
        self,
        status: Status,
        error: BaseException | None = None,
        response: ModelResponse | StreamedResponse | None = None,
    ) -> None:
        """Emit the events of the request, once; a failure to do so is reported and not raised."""
        if self.is_emitted:
            return
        self.is_emitted = True
        self._ended_at = self.stream_events.ended_at or perf_counter()
        try:
            self._emit_end(status, error, response, self._ended_at)
        except BaseException as failure:
            self._end_unread(status, error)
            if not isinstance(failure, Exception):  # a listener was interrupted
                raise
            report_failure(llm_called.name, "pydantic_ai", failure)
        if self._parent is None:
            self.call.interruptions.raise_first()

    def _in_scope(self) -> AbstractContextManager[None]:
        """Return a ``with`` block inside the scope that it began in, wherever the running code is."""
        return IN_EFFECT if self._scope is None else in_scope(self._scope)

    def _emit_end(
        self, status: Status, error: BaseException | None, response: AnyResponse | None, ended_at: float
    ) -> None:
        if self.http_requests:
            answered = self.http_requests[-1]
            self.headers, self.status_code = answered.headers, answered.status_code
        if self.headers is not NO_HEADERS:
            self.headers = read_headers(self.headers)
            if response is not None:
                keep_headers(response, self.headers)
        with self._in_scope():
            if status == "success" and is_usual(self, response):
                emit_usual_end(self, response, ended_at)  # type: ignore[arg-type]  # it has one then
                return
            status = self._judge(status, error, response)
            outcome = make_frozen(
                RequestOutcome,
                {
                    "status": status,
                    "error": error,
                    "started_at": self.started_at,
                    "ended_at": ended_at,
                    "token_times": self.stream_events.token_times,
                    "fault": self.fault if status == "error" else None,
                    "reader_pauses": self.stream_events.pause_seconds(),
                    "asked_at": self.asked_at,
                },
            )
            if not self.has_attempts:
                if response is not None and len(self.members) > 1:
                    self.model = answering_model(self.members, response) or self.model
                if response is not None:  # first, as a price takes time: the attempt and its call end together
                    add_answer(self.call, self.model, response, complete=status == "success")
                emit_attempts(self, outcome, response)
            if self._parent is None:
                self.call.claim.has_ended = True
                emit_called(self.call, self.model, outcome, response)

    def _end_unread(self, status: Status, error: BaseException | None) -> None:
        """End the call without what was to be read of its answer, unless that is done."""
        if self._parent is not None or self.call.is_emitted:
            return
        ended_at, self.call.claim.has_ended = self._ended_at or perf_counter(), True
        outcome = RequestOutcome(
            status=status, error=error, started_at=self.started_at, ended_at=ended_at, token_times=TokenTimes()
        )
        try:
            emit_called(self.call, self.model, outcome, None)
        except Exception as failure:
            report_failure(llm_called.name, "pydantic_ai", failure)

    @property
    def asked_at(self) -> tuple[float, ...]:
        """When this instrumented model was asked, and those around it, innermost first."""
        return (self.started_at,) if self._parent is None else (self.started_at, *self._parent.asked_at)

    def _judge(self, status: Status, error: BaseException | None, response: AnyResponse | None) -> Status:
        """Return the status by what was answered, and record why a request failed that raised nothing that says so."""
        if status == "success" and response is not None:
            self.fault = response_fault(model_response(response))
            return "error" if self.fault else status
        last = self.call.last[1] if self.call.last else None
        if status == "error" and error is not None and last is not None and last.error is error:
            self.fault = last.fault  # its attempt knows
        elif status == "error" and self.http_requests and self.http_requests[-1].exceeds_quota:
            self.fault = "quota_exceeded"
        elif status == "error" and isinstance(error, UNREADABLE) and self.status_code in range(200, 300):
            self.fault = "invalid_response"
        return status

    def start_http_request(self, http_request: HTTPAttempt) -> None:
        """Add a request that the SDK sends now; emit the attempts that failed before, and that it sends again."""
        failed = retried_by(self.http_requests, http_request) if self.http_requests else ()
        self.http_requests.append(http_request)
        if failed and len(self.members) == 1 and not self.has_attempts:
            with self._in_scope():
                emit_retried(self, failed)
