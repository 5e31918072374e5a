"""One call of LiteLLM while it is under way: the calls that LiteLLM makes for it, their attempts, and its end."""

from __future__ import annotations

from contextlib import AbstractContextManager
from time import perf_counter
from types import TracebackType
from typing import Any, Self

from ...bus.failures import report_failure
from ...bus.fields import UNKNOWN, ErrorType, Status
from ...bus.scope import get_effective_scope
from ...llm import llm_called
from ..model_calls.claims import Claim, current_claim
from ..model_calls.cost import billed_cost
from ..model_calls.error_types import error_type_of, status_of_error
from ..model_calls.model_call import Attempt, CallEnd, ModelCall, error_name
from ..model_calls.token_usage import NO_USAGE, TokenUsage
from .functions import Answer, AskedModel, Function
from .reported_usage import COUNTED_BY_LITELLM, ReceivedStream, hidden_param, table_cost
from .sent_requests import Send, current_sender

BRIDGE = "litellm"


class LiteLLMCall:
    """A call of a function of LiteLLM or of a method of its Router: what the program sees as one call.

    Args:
        claim: The right to tell it.
        function: The function.
        name: The name of the model that the program asks: of a Router, that of a group.
        asked: The model that it stands for; None where a Router chooses it.
        streamed: Whether the answer is.
    """

    def __init__(
        self, claim: Claim, function: Function, name: str, asked: AskedModel | None, *, streamed: bool
    ) -> None:
        self.claim = claim
        self.streamed = streamed
        self.answer: Answer = function.answer()
        self._operation = function.operation
        self.has_ended = False
        self.last: Member
        self._name = name
        self._asked = asked
        self._started_at = perf_counter()
        self._scope = get_effective_scope()
        self._model_call: ModelCall | None = None
        self._pending: tuple[Member, Send] | None = None
        self._transport: ErrorType | None = None
        self._is_mocked = False
        self._result: Any = None
        self._streams: list[ReceivedStream] = []
        if asked is not None:
            self._start(asked)

    @property
    def model_call(self) -> ModelCall:
        """The call as it is told; one whose model nobody chose is told under the name that was asked for."""
        return self._model_call or self._start(AskedModel(self._name, UNKNOWN))

    @property
    def has_stream(self) -> bool:
        """Whether LiteLLM received a stream for it."""
        return bool(self._streams)

    def _start(self, asked: AskedModel) -> ModelCall:
        self._model_call = ModelCall(
            BRIDGE,
            self.claim,
            model=asked.model,
            provider=asked.provider,
            requested_model=asked.model if self._asked else self._name,
            operation=self._operation,
            streamed=self.streamed,
            price=self._table_cost,
            started_at=self._started_at,
            scope=self.claim.scope or self._scope,
        )
        return self._model_call

    def begin_member(self, asked: AskedModel | None, *, is_mocked: bool) -> Member:
        """Return a call that LiteLLM makes for this one; the first one is this one itself."""
        self._is_mocked = is_mocked
        if asked is not None and self._model_call is None:
            self._start(asked)
        if self._streams and self._pending is not None:  # asked again: the stream before broke off
            self._emit_pending(status="error", error_type="other")
        self.last = Member(self, asked)
        return self.last

    def record_send(self, member: Member, send: Send) -> None:
        """Record a request that was sent, and emit the one before: it failed, since this is its retry."""
        self._emit_pending()
        self._pending = member, send
        self._transport = None if send.error is None else send.as_attempt().error_type

    def fail_member(self, member: Member, error: BaseException) -> None:
        """Emit the attempt of a call that LiteLLM made and that failed, unless its last request was emitted."""
        if self.has_ended:
            return
        status, error_type = self._classify(error)
        if self._pending is not None and self._pending[0] is member:
            self._emit_pending(status=status, error=error, error_type=error_type)
        elif not member.sends:
            attempt = Attempt(
                started_at=member.started_at,
                ended_at=perf_counter(),
                status=status,
                error=error_name(error),
                error_type=error_type,
                model=member.model,
                provider=member.provider,
            )
            self.model_call.add_attempt(attempt)

    def add_stream(self, stream: Any) -> None:
        """Add a stream that LiteLLM received: its chunks have the tokens that the provider reported."""
        self._streams.append(ReceivedStream.of(stream))

    def add_whole(self, result: Any) -> None:
        """Add the answer, and end the call."""
        try:
            self._result = result
            self.answer.add_whole(result)
        except Exception as failure:
            self.report(failure)
        self.finish()

    def finish(self) -> None:
        """End the call with the answer that was read: a stream whose end did not come was cut off."""
        error_type = self.answer.error_type
        if error_type is None and self.streamed and not self.answer.has_ended:
            error_type = "invalid_response"
        self._end("success" if error_type is None else "error", None, error_type)

    def cancel(self) -> None:
        """End the call with as much of the answer as its reader wanted."""
        self._end("cancelled", None, "cancelled")

    def fail(self, error: BaseException) -> None:
        """End the call with an error: of the call, or of its stream."""
        status, error_type = self._classify(error)
        self._end(status, error, error_type)

    def report(self, failure: Exception) -> None:
        """Report a failure of the bridge."""
        report_failure(llm_called.name, BRIDGE, failure)

    def _classify(self, error: BaseException) -> tuple[Status, ErrorType]:
        """Return the status and the type of error of what LiteLLM raised.

        It has a class for a broken connection, and uses others for it too: what became of the last request says more.
        """
        status, error_type = classify(error)
        return status, self._transport or error_type if status == "error" else error_type

    def _end(self, status: Status, error: BaseException | None, error_type: ErrorType | None) -> None:
        if self.has_ended:
            return
        self.has_ended = True
        call = self.model_call
        ended_at = perf_counter()
        response_model = hidden_param(self._result, "provider_response_model") or self.answer.model
        usage, cost = NO_USAGE, None
        try:
            usage, cost = self._usage(), billed_cost(self._billed_usage(), {})
        except Exception as failure:
            self.report(failure)
        self._emit_pending(
            status=status, error=error, error_type=error_type, ended_at=ended_at, response_model=response_model
        )
        call.finish(
            CallEnd(
                status=status,
                error=error_name(error),
                error_type=error_type,
                response_model=response_model,
                usage=usage,
                cost=cost,
                finish_reason=self.answer.finish_reason if status != "cancelled" else None,
                ended_at=ended_at,
            )
        )

    def _emit_pending(
        self,
        *,
        status: Status | None = None,
        error: BaseException | None = None,
        error_type: ErrorType | None = None,
        ended_at: float | None = None,
        response_model: str | None = None,
    ) -> None:
        """Emit the last request as an attempt: as it ended by itself, or with the status that LiteLLM made of it."""
        if self._pending is None:
            return
        (member, send), self._pending = self._pending, None
        try:
            own = send.as_attempt()
            attempt = Attempt(
                started_at=own.started_at,
                ended_at=own.ended_at if own.status != "success" or ended_at is None else ended_at,
                status=status or own.status,
                error=error_name(error) if status else own.error,
                error_type=error_type if status else own.error_type,
                status_code=own.status_code,
                headers=own.headers,
                model=member.model,
                provider=member.provider,
            )
        except Exception as failure:
            self.report(failure)
            return
        self.model_call.add_attempt(attempt, response_model=response_model)

    def _usage(self) -> TokenUsage:
        provider = hidden_param(self._result, "custom_llm_provider") or self.model_call.provider
        if self._is_mocked or provider in COUNTED_BY_LITELLM or hidden_param(self._result, "cache_hit"):
            return NO_USAGE
        received = [stream for stream in self._streams if stream.chunks is not None]
        return sum((stream.usage() for stream in received), NO_USAGE) if received else self.answer.usage()

    def _billed_usage(self) -> Any:
        reported = [usage for stream in self._streams for usage in stream.reported()]
        return reported[-1] if reported else None if self._streams else self.answer.raw_usage()

    def _table_cost(self, _provider: str, _model: str, usage: TokenUsage) -> float | None:
        return self._streams[-1].table_cost(usage) if self._streams else table_cost(self._result)


class Member:
    """A call that LiteLLM makes, for the program's own or as that one: the sender of its requests."""

    __slots__ = ("call", "model", "provider", "sends", "started_at")

    def __init__(self, call: LiteLLMCall, asked: AskedModel | None) -> None:
        self.call = call
        self.model = asked.model if asked else None
        self.provider = asked.provider if asked else None
        self.sends = 0
        self.started_at = perf_counter()

    def record_send(self, started_at: float, response: Any, error: BaseException | None) -> None:
        """Record a request that was answered, or failed."""
        if self.call.has_ended:
            return
        try:
            self.sends += 1
            self.call.record_send(self, Send.of(started_at, response, error))
        except Exception as failure:
            self.call.report(failure)


class Running(AbstractContextManager["Running"]):
    """A block in which LiteLLM works for a call: requests are attempts, and other bridges tell nothing.

    Never entered across a ``yield`` to the reader of a stream.
    """

    __slots__ = ("_claim", "_member", "_sender")

    def __init__(self, member: Member) -> None:
        self._member = member

    def __enter__(self) -> Self:
        self._sender = current_sender.set(self._member)
        self._claim = current_claim.set(self._member.call.claim)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        current_claim.reset(self._claim)
        current_sender.reset(self._sender)


def classify(error: BaseException) -> tuple[Status, ErrorType]:
    """Return the status and the type of error of what LiteLLM raised; of a broken stream, what it was caused by."""
    cause = getattr(error, "original_exception", None)
    if isinstance(cause, BaseException):
        error = cause
    status = status_of_error(error)
    if status == "error":
        return status, error_type_of(error)
    return status, "timeout" if status == "timeout" else "cancelled"
