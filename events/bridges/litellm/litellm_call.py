"""One call of LiteLLM while it is under way: the calls that LiteLLM makes for it, its answer and its end."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from ...bus.failures import report_failure
from ...bus.fields import UNKNOWN
from ...bus.scope import get_effective_scope
from ...llm import llm_called
from ..model_calls.claims import Claim
from ..model_calls.cost import billed_cost, number
from ..model_calls.model_call import CallEnd, ModelCall, error_name
from ..model_calls.token_usage import NO_USAGE, TokenUsage, get, openai_usage
from .call_attempts import CallAttempts, Outcome
from .functions import Answer, AskedModel, Function
from .inner_calls import InnerCall
from .reported_usage import COUNTED_BY_LITELLM, ReceivedStream, hidden_params, plain_usage
from .sent_requests import Send

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
        self.has_ended = False
        self.last: InnerCall
        self._operation = function.operation
        self._name = name
        self._asked = asked
        self._started_at = perf_counter()
        self._scope = get_effective_scope()
        self._model_call: ModelCall | None = None
        self._attempts = CallAttempts(lambda: self.model_call)
        self._is_mocked = False
        self._hidden: Any = None
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

    def begin(self, asked: AskedModel | None, *, is_mocked: bool) -> InnerCall:
        """Return a call that LiteLLM makes for this one; the first one is this one itself."""
        self._is_mocked = is_mocked
        if asked is not None and self._model_call is None:
            self._start(asked)
        if self._streams:  # and LiteLLM asks again
            self._attempts.add_broken_stream()
        self.last = InnerCall(self, asked)
        return self.last

    def record_send(self, inner: InnerCall, send: Send) -> None:
        """Record a request that was sent for an inner call."""
        self._attempts.add_send(inner, send)

    def fail_inner(self, inner: InnerCall, error: BaseException) -> None:
        """Record that an inner call failed: LiteLLM may ask again."""
        if not self.has_ended:
            self._attempts.add_failure(inner, error)

    def add_stream(self, stream: Any) -> None:
        """Add a stream that LiteLLM received: its chunks have the tokens that the provider reported."""
        self._streams.append(ReceivedStream.of(stream))

    def add_whole(self, result: Any) -> None:
        """Add the answer, and end the call."""
        try:
            self._hidden = hidden_params(result)
            self.answer.add_whole(result)
        except Exception as failure:
            self.report(failure)
        self.finish()

    def finish(self) -> None:
        """End the call with the answer that was read: a stream whose end did not come was cut off."""
        error_type = self.answer.error_type
        if error_type is None and self.streamed and not self.answer.has_ended:
            error_type = "invalid_response"
        self._end(Outcome("success" if error_type is None else "error", error_type=error_type))

    def cancel(self) -> None:
        """End the call with as much of the answer as its reader wanted."""
        self._end(Outcome("cancelled", error_type="cancelled"))

    def fail(self, error: BaseException) -> None:
        """End the call with an error: of the call, or of its stream."""
        self._end(self._attempts.outcome_of(error))

    def report(self, failure: Exception) -> None:
        """Report a failure of the bridge."""
        report_failure(llm_called.name, BRIDGE, failure)

    def _end(self, outcome: Outcome) -> None:
        if self.has_ended:
            return
        self.has_ended = True
        call = self.model_call
        ended_at = perf_counter()
        response_model = get(self._hidden, "provider_response_model") or self.answer.model
        usage, cost = NO_USAGE, None
        try:
            usage, cost = self._usage(), billed_cost(self._billed_usage(), {})
            self._attempts.end(self.last, outcome, ended_at=ended_at, response_model=response_model)
        except Exception as failure:
            self.report(failure)
        call.finish(
            CallEnd(
                status=outcome.status,
                error=error_name(outcome.error),
                error_type=outcome.error_type,
                response_model=response_model,
                usage=usage,
                cost=cost,
                finish_reason=self.answer.finish_reason if outcome.status != "cancelled" else None,
                ended_at=ended_at,
            )
        )

    def _usage(self) -> TokenUsage:
        provider = get(self._hidden, "custom_llm_provider") or self.model_call.provider
        if self._is_mocked or provider in COUNTED_BY_LITELLM or get(self._hidden, "cache_hit"):
            return NO_USAGE
        received = [stream for stream in self._streams if stream.chunks is not None]
        if received:
            return sum((stream.usage() for stream in received), NO_USAGE)
        raw = self.answer.raw_usage()
        return self.answer.usage() if raw is None else openai_usage(plain_usage(raw))

    def _billed_usage(self) -> Any:
        reported = [usage for stream in self._streams for usage in stream.reported()]
        return reported[-1] if reported else None if self._streams else plain_usage(self.answer.raw_usage())

    def _table_cost(self, _provider: str, _model: str, usage: TokenUsage) -> float | None:
        return self._streams[-1].table_cost(usage) if self._streams else number(get(self._hidden, "response_cost"))
