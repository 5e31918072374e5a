"""One request of a client to a model while it is under way: its attempts, its answer and its end."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Token
from time import perf_counter
from typing import Any

from ...bus.failures import report_failure
from ...bus.fields import ErrorType, Status
from ...llm import llm_called
from ..model_calls.claims import Claim, current_claim
from ..model_calls.cost import billed_cost
from ..model_calls.error_types import status_of_error
from ..model_calls.model_call import Attempt, CallEnd, ModelCall, error_name
from ..model_calls.response_headers import NO_HEADERS
from ..model_calls.token_usage import NO_USAGE, with_items
from .answer import Answer, fault_of
from .attempts import attempt_of, error_type_of_end, last_attempt, status_of_type, with_quota
from .bodies import body_of, observe_body
from .raw_responses import observe_parse
from .sdk_parts import kind_of_result, unwrapped
from .streams import track_stream

UNREADABLE = (AttributeError, LookupError, TypeError, ValueError)
"""What an SDK raises where an answer is not as it expects it, as one that is not JSON."""

UNPARSED = ("LengthFinishReasonError",)
"""The same, by name, of an answer that is cut off before it is what was asked for."""


class SDKRequest:
    """A request that a client sends to a model; made by `instrument_client.Settings`.

    Attributes:
        is_reading: Whether a chunk of its stream is being waited for.
    """

    is_reading = False
    _has_chunks = False
    _attempt: Attempt | None = None  # the last one
    _response: Any = None  # its own

    def __init__(self, call: ModelCall, answer: Answer) -> None:
        self.call = call
        self.answer = answer

    def begin(self) -> Token[Claim | None]:
        """Have requests that are sent from here on be attempts, until `leave`."""
        claim = self.call.claim
        claim.sender = self
        return current_claim.set(claim)

    def leave(self, token: Token[Claim | None]) -> None:
        """End what `begin` began, which returned ``token``: requests that are sent from here on are no attempts."""
        self.call.claim.sender = None
        try:
            current_claim.reset(token)
        except ValueError:  # where the garbage collector closes a coroutine, in a context that has none of it
            return

    def record_send(self, started_at: float, response: Any, error: BaseException | None) -> None:
        """Record a request that was sent, and emit the one before: it failed, since this is its retry."""
        try:
            before, self._attempt = self._attempt, None
            if before is not None:
                self.call.add_attempt(with_quota(before, self._response))
            self._attempt = attempt_of(started_at, response, error)
            self._response = response
        except Exception as failure:
            self.report(failure)

    def take(self, result: Any) -> Any:
        """Return the result of the request; its end is that of the call, but a stream or a raw response ends it later.

        A failure to do so is reported and not raised: the call ends here then.
        """
        try:
            cls: Any = type(result)
            if kind_of_result(cls) == "answer":
                self._finish_with(result)
            else:
                self._take(unwrapped(result))
        except Exception as failure:
            self.finish()
            self.report(failure)
        return result

    def _take(self, result: Any) -> None:
        # The response is to hold this request: it is forgotten here, so that it is dropped when its reader drops it.
        cls: Any = type(result)
        kind = kind_of_result(cls)
        if kind == "raw_response":
            http_response = result.http_response
            if http_response.is_closed:
                self._finish_with(body_of(http_response))
                return
            self._response = None
            observe_body(http_response, self, is_kept=not self.call.streamed)
            if self.call.streamed:
                observe_parse(result, self)
        elif kind == "stream":
            self._response = None
            observe_body(result.response, self, is_kept=False)
            self.track(result)
        else:
            self._finish_with(body_of(result) if kind == "http_response" else result)

    def _finish_with(self, whole: Any) -> None:
        whole, answer, call = with_items(whole), self.answer, self.call
        if whole is not None:
            answer.add_whole(whole)
        if answer.error_type is None and not call.streamed:
            answer.error_type = fault_of(whole, call.operation)
            if answer.error_type is None:
                self._end("success", None, None)
                return
        self.finish()

    def track(self, parsed: Any) -> None:
        """Have a stream end the call; a failure to do so is reported and not raised."""
        try:
            parsed = unwrapped(parsed)
            cls: Any = type(parsed)
            if kind_of_result(cls) == "stream":
                if not self._has_chunks:
                    self._has_chunks = True
                    self.call.open_stream()
                track_stream(parsed, self)
        except Exception as failure:
            self.report(failure)

    def end_body(self, whole: Any) -> None:
        """End the call with a body that was read to its end, unless for its chunks, which know how it ends."""
        if self.is_reading or self.call.has_ended:
            return
        try:
            self.answer.has_ended = True
            self._finish_with(whole)
        except Exception as failure:
            self.finish()
            self.report(failure)

    def fail_body(self, error: BaseException) -> None:
        """End the call with an error of the body, unless chunks are made of it, which raise the SDK's own."""
        if not self._has_chunks:
            self.fail(error)

    def leave_body(self) -> None:
        """End the call where its reader leaves the body, unless that is the SDK, which has read the end of a stream."""
        if self.is_reading or self.call.has_ended:
            return
        if self.answer.has_ended:
            self.finish()
        else:
            self._end("cancelled", None, "cancelled")

    def finish(self) -> None:
        """End the call with the answer that was read: a stream whose end did not come was cut off."""
        error_type = self.answer.error_type
        if error_type is None and self.call.streamed and not self.answer.has_ended:
            error_type = "invalid_response"
        self._end("success" if error_type is None else status_of_type(error_type), None, error_type)

    def fail(self, error: BaseException) -> None:
        """End the call with an error: of the request, or of its stream."""
        if self.call.has_ended:
            return
        status, error_type = status_of_error(error), None
        try:
            error_type = error_type_of_end(status, error)
            if self._attempt is not None and self._attempt.status == "success":
                if error_type == "other" and (isinstance(error, UNREADABLE) or type(error).__name__ in UNPARSED):
                    error_type = "invalid_response"
                # The SDK could not parse it into what was asked for: its tokens are billed all the same.
                is_whole = self._response is not None and not self.call.streamed
                if is_whole and (body := body_of(self._response)) is not None:
                    self.answer.add_whole(body)
        except Exception as failure:
            self.report(failure)
        self._end(status, error, error_type or "other")

    def report(self, failure: Exception) -> None:
        """Report a failure of the bridge."""
        report_failure(llm_called.name, self.call.bridge, failure)

    def _end(self, status: Status, error: BaseException | None, error_type: ErrorType | None) -> None:
        if self.call.has_ended:
            return
        ended_at, answer, attempt = perf_counter(), self.answer, self._attempt
        try:
            # The headers of a stream are sent before it is billed.
            headers = NO_HEADERS if attempt is None or self.call.streamed else attempt.headers
            usage, cost = answer.usage(), billed_cost(answer.raw_usage(), headers)
        except Exception as failure:
            self.report(failure)
            usage, cost = NO_USAGE, None
        # By position: by name each takes twice as long.
        end = CallEnd(
            status,
            "" if error is None else error_name(error),
            error_type,
            answer.model,
            usage,
            cost,
            "provider",
            answer.finish_reason if status != "cancelled" else None,
            None,
            ended_at,
        )
        if attempt is not None:
            self.call.add_attempt(last_attempt(attempt, end, self._response), response_model=end.response_model)
        self.call.finish(end)


def requested_model(options: Any) -> str:
    """Return the model that the body of a request names; "" where it names none."""
    for body in (options.extra_json, options.json_data):
        if body is not None and (type(body) is dict or isinstance(body, Mapping)):
            model = body.get("model")
            if isinstance(model, str):
                return model
    return ""
