"""One request of a client to a model while it is under way: its attempts, its answer and its end."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Token
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from ...bus.failures import report_failure
from ...bus.fields import ErrorType, Status
from ...llm import llm_called
from ..model_calls.claims import Claim, current_claim
from ..model_calls.cost import UsagePriceFunction, billed_cost
from ..model_calls.error_types import error_type_of, error_type_of_code, error_type_of_status_code, status_of_error
from ..model_calls.model_call import Attempt, CallEnd, ModelCall, error_name, start_call
from ..model_calls.response_headers import read_headers
from ..model_calls.token_usage import NO_USAGE, get, with_items
from .answer import Answer, Protocol, fault_of
from .bodies import body_of, observe_body
from .http_sends import Sender, current_sender
from .raw_responses import observe_parse
from .sdk_parts import kind_of_result, unwrapped
from .streams import track_stream

UNREADABLE = (AttributeError, LookupError, TypeError, ValueError)
"""What an SDK raises where an answer is not as it expects it, as one that is not JSON."""

UNPARSED = ("LengthFinishReasonError",)
"""The same, by name, of an answer that is cut off before it is what was asked for."""


@dataclass(slots=True, kw_only=True)
class Send:
    """One HTTP request that was sent, and what became of it; times are those of `time.perf_counter`."""

    started_at: float
    ended_at: float
    response: Any
    error: BaseException | None

    def as_attempt(self) -> Attempt:
        """Return it as an attempt that failed by itself, or whose answer had not failed yet."""
        status: Status
        error_type: ErrorType | None
        if self.error is not None:
            status = status_of_error(self.error)
            error_type = error_type_of_end(status, self.error)
        else:
            error_type = error_type_of_status_code(self.response.status_code)
            if error_type == "rate_limited" and exceeds_quota(body_of(self.response)):
                error_type = "quota_exceeded"
            status = status_of_type(error_type)
        return Attempt(
            started_at=self.started_at,
            ended_at=self.ended_at,
            status=status,
            error_type=error_type,
            status_code=None if self.response is None else self.response.status_code,
            headers={} if self.response is None else read_headers(self.response.headers),
        )


class SDKRequest:
    """A request that a client sends to a model; made by `start_request`.

    Attributes:
        is_reading: Whether a chunk of its stream is being waited for.
    """

    __slots__ = ("_attempt", "_bridge", "_has_chunks", "_is_streamed", "_send", "answer", "call", "is_reading")

    def __init__(self, bridge: str, call: ModelCall, answer: Answer) -> None:
        self.call = call
        self.answer = answer
        self.is_reading = False
        self._is_streamed = call.streamed
        self._has_chunks = False
        self._bridge = bridge
        self._send: Send | None = None
        self._attempt: Attempt | None = None

    def begin(self) -> tuple[Token[Sender | None], Token[Claim | None]]:
        """Have requests that are sent from here on be attempts, until `leave`."""
        return current_sender.set(self), current_claim.set(self.call.claim)

    def leave(self, tokens: tuple[Token[Sender | None], Token[Claim | None]]) -> None:
        """End what `begin` began, which returned ``tokens``: requests that are sent from here on are no attempts."""
        sender, claim = tokens
        try:
            current_claim.reset(claim)
            current_sender.reset(sender)
        except ValueError:  # where the garbage collector closes a coroutine, in a context that has none of it
            return

    def record_send(self, started_at: float, response: Any, error: BaseException | None) -> None:
        """Record a request that was sent, and emit the one before: it failed, since this is its retry."""
        try:
            if self._send is not None:
                self.call.add_attempt(self._send.as_attempt())
        except Exception as failure:
            self.report(failure)
        self._send = Send(started_at=started_at, ended_at=perf_counter(), response=response, error=error)

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
        cls: Any = type(result)
        kind = kind_of_result(cls)
        if kind == "raw_response":
            http_response = result.http_response
            if http_response.is_closed:
                self._finish_with(body_of(http_response))
                return
            self._wait_for_end()
            observe_body(http_response, self, is_kept=not self._is_streamed)
            if self._is_streamed:
                observe_parse(result, self)
        elif kind == "stream":
            self._wait_for_end()
            observe_body(result.response, self, is_kept=False)
            self.track(result)
        else:
            self._finish_with(body_of(result) if kind == "http_response" else result)

    def _finish_with(self, whole: Any) -> None:
        whole = with_items(whole)
        if whole is not None:
            self.answer.add_whole(whole)
        if self.answer.error_type is None and not self._is_streamed:
            self.answer.error_type = fault_of(whole, self.call.operation)
        self.finish()

    def _wait_for_end(self) -> None:
        """Forget the response, which is to hold this request: it is dropped when its reader drops it."""
        if self._send is not None:
            self._attempt, self._send = self._send.as_attempt(), None

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
        """End the call with a body that was read to its end, unless chunks are made of it, which know how it ends."""
        if self._has_chunks or self.call.has_ended:
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
        if error_type is None and self._is_streamed and not self.answer.has_ended:
            error_type = "invalid_response"
        self._end(status_of_type(error_type), None, error_type)

    def fail(self, error: BaseException) -> None:
        """End the call with an error: of the request, or of its stream."""
        if self.call.has_ended:
            return
        status, error_type = status_of_error(error), None
        try:
            error_type = error_type_of_end(status, error)
            attempt = self._last_attempt()
            if attempt is not None and attempt.status == "success":
                if error_type == "other" and (isinstance(error, UNREADABLE) or type(error).__name__ in UNPARSED):
                    error_type = "invalid_response"
                # The SDK could not parse it into what was asked for: its tokens are billed all the same.
                if self._send is not None and (body := body_of(self._send.response)) is not None:
                    self.answer.add_whole(body)
        except Exception as failure:
            self.report(failure)
        self._end(status, error, error_type or "other")

    def report(self, failure: Exception) -> None:
        """Report a failure of the bridge."""
        report_failure(llm_called.name, self._bridge, failure)

    def _end(self, status: Status, error: BaseException | None, error_type: ErrorType | None) -> None:
        if self.call.has_ended:
            return
        ended_at, answer, attempt = perf_counter(), self.answer, None
        try:
            attempt = self._last_attempt()
            # The headers of a stream are sent before it is billed.
            headers = {} if attempt is None or self._is_streamed else attempt.headers
            usage, cost = answer.usage(), billed_cost(answer.raw_usage(), headers)
        except Exception as failure:
            self.report(failure)
            usage, cost = NO_USAGE, None
        end = CallEnd(
            status=status,
            error="" if error is None else error_name(error),
            error_type=error_type,
            response_model=answer.model,
            usage=usage,
            cost=cost,
            finish_reason=answer.finish_reason if status != "cancelled" else None,
            ended_at=ended_at,
        )
        if attempt is not None:
            self._emit_last(attempt, end)
        self.call.finish(end)

    def _last_attempt(self) -> Attempt | None:
        """Return the last attempt as it was when its response came, or none did."""
        if self._send is not None:
            self._attempt = self._send.as_attempt()
            if self._attempt.status != "success" or self._is_streamed:
                self._send = None
        return self._attempt

    def _emit_last(self, attempt: Attempt, end: CallEnd) -> None:
        """Emit the last attempt: it ends as the call does, unless that is cancelled before a failed one is retried."""
        has_failed = attempt.status != "success"
        if not (has_failed and end.status == "cancelled"):
            attempt.status, attempt.error, attempt.error_type = end.status, end.error, end.error_type
            if not has_failed:
                attempt.ended_at = end.ended_at or attempt.ended_at
        self.call.add_attempt(attempt, response_model=end.response_model)


def exceeds_quota(body: Any) -> bool:
    """Return whether the body of a 429, which stands for several things, says that a quota is used up."""
    error = get(body, "error")
    return "quota_exceeded" in {error_type_of_code(get(error, name)) for name in ("code", "type")}


def status_of_type(error_type: ErrorType | None) -> Status:
    """Return the status of what failed in a way, or did not."""
    if error_type is None:
        return "success"
    return error_type if error_type in ("timeout", "cancelled") else "error"


def error_type_of_end(status: Status, error: BaseException) -> ErrorType:
    """Return why a request with this status failed, by the error that it raised."""
    return status if status in ("timeout", "cancelled") else error_type_of(error)


def start_request(
    protocol: Protocol, options: Any, *, provider: str, price: UsagePriceFunction | None, streamed: bool
) -> SDKRequest | None:
    """Return the request to a model that a client is about to send; None for another, or one that is told elsewhere."""
    kind = protocol.kind_of_call(str(options.url)) if str(options.method).lower() == "post" else None
    if kind is None:
        return None
    call = start_call(
        protocol.bridge,
        model=requested_model(options.extra_json) or requested_model(options.json_data) or "",
        provider=provider,
        is_exact=True,
        operation=kind.operation,
        streamed=streamed,
        price=price,
    )
    return None if call is None else SDKRequest(protocol.bridge, call, kind.make_answer())


def requested_model(body: Any) -> str | None:
    """Return the model that the body of a request names; None where it names none."""
    if body is None:
        return None
    model = body.get("model") if type(body) is dict or isinstance(body, Mapping) else None
    return model if isinstance(model, str) else None
