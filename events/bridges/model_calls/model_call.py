"""A call to a language model while it is under way, for bridges: its attempts, its tokens and its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from time import perf_counter
from typing import Any, NamedTuple

from ...bus.failures import report_failure, strict_blocks
from ...bus.fields import ErrorType, Status
from ...bus.scope import Scope, get_current_scope, get_effective_scope
from ...bus.signal import NO_SCOPE
from ...llm import CostSource, FinishReason, ModelOperation, llm_attempted, llm_call_started, llm_called
from .claims import Claim, claim_call
from .cost import UsagePriceFunction, cost_fields
from .error_types import error_type_of, status_of_error
from .event_scope import in_scope, is_heard_in
from .names import label_of, truncate_name
from .reader_pauses import ReaderPauses
from .response_headers import NO_HEADERS, rate_limits, retry_after
from .token_times import TokenTimes
from .token_usage import NO_USAGE, TokenUsage

SIGNALS = (llm_call_started, llm_attempted, llm_called)
"""What a call emits, beside failures to do so."""


def is_idle() -> bool:
    """Return whether nobody would get an event of a call: no listener, no span around, and no strict block."""
    if llm_called.receivers or llm_attempted.receivers or llm_call_started.receivers:
        return False
    return not strict_blocks and get_current_scope() is None


class Attempt(NamedTuple):  # a frozen dataclass takes four times as long to make
    """One attempt at a call that has ended; times are those of `time.perf_counter`.

    It is at the model of the attempt before, or of the call, where it names no other one.

    Attributes:
        error: The class of what was raised.
    """

    started_at: float
    ended_at: float
    status: Status = "success"
    error: str = ""
    error_type: ErrorType | None = None
    status_code: int | None = None
    headers: Mapping[str, str] = NO_HEADERS
    model: str | None = None
    provider: str | None = None


class CallEnd(NamedTuple):
    """How a call ended, in the words of `events.LLMCalled`.

    Attributes:
        cost: What the seller says that it bills, in USD; None where it says nothing and the price function is asked.
        cost_source: Whose figure that cost is, where a library has it from a list of its own.
        ended_at: The time of `time.perf_counter`; None for now.
    """

    status: Status = "success"
    error: str = ""
    error_type: ErrorType | None = None
    response_model: str | None = None
    usage: TokenUsage = NO_USAGE
    cost: float | None = None
    cost_source: CostSource = "provider"
    finish_reason: FinishReason | None = None
    time_to_first_token: float | None = None
    ended_at: float | None = None

    @classmethod
    def of_error(cls, error: BaseException) -> CallEnd:
        """Return the end of a call that raised an error."""
        status = status_of_error(error)
        error_type = error_type_of(error) if status == "error" else status
        return cls(status=status, error=error_name(error), error_type=error_type)  # type: ignore[arg-type]  # not success


class ModelCall:
    """A call that a bridge tells: `events.llm_call_started` when it is made, `events.llm_called` at its end.

    Make one by `start_call`. Whatever fails in here is reported as a failure of the bridge, and never raised.

    Args:
        bridge: The name of the bridge, for reports of its failures.
        claim: The right to tell the call.
        model: The model that is asked for.
        provider: Who is asked.
        operation: What the model is asked for.
        requested_model: The name that stands for several models, such as that of a group of them; None for `model`.
        streamed: Whether the answer is.
        price: Asked for the cost of the tokens where the seller says none.
        started_at: The time of `time.perf_counter`; None for now.
        scope: The scope that the events are of; None for that of the claim, or else of the code that makes it.
    """

    # Defaults of the class: what most calls do not change, since each attribute that is set takes time.
    attempts = 0
    has_ended = _is_open = _has_pauses = _has_token_times = False
    _last: Attempt | None = None
    _backoff = 0.0
    _interruption: BaseException | None = None

    def __init__(
        self,
        bridge: str,
        claim: Claim,
        *,
        model: str,
        provider: str,
        operation: ModelOperation = "chat",
        requested_model: str | None = None,
        streamed: bool = False,
        price: UsagePriceFunction | None = None,
        started_at: float | None = None,
        scope: Scope | None = None,
    ) -> None:
        self.claim = claim
        self.model = label_of(model)
        self.provider = label_of(provider)
        self.operation = operation
        self.streamed = streamed
        self.requested_model = label_of(requested_model) if requested_model else self.model
        self.bridge = bridge
        self._price = price
        if scope is None:
            scope = claim.scope or (get_current_scope() and get_effective_scope())
        self._scope = None if scope is NO_SCOPE else scope
        self.started_at = perf_counter() if started_at is None else started_at
        if not claim.is_started:
            claim.is_started = True
            if llm_call_started.receivers or is_heard_in(self._scope, llm_call_started):
                self._guard(self._emit_started)

    @cached_property
    def token_times(self) -> TokenTimes:
        """When the tokens of its stream come; made where a stream has any."""
        self._has_token_times = True
        return TokenTimes()

    @cached_property
    def pauses(self) -> ReaderPauses:
        """The time that is its stream's reader's."""
        self._has_pauses = True
        return ReaderPauses()

    def open_stream(self) -> None:
        """Begin the time of a stream's reader: the response is there, and `pauses` is told when its chunks are read."""
        self.pauses = ReaderPauses()
        self._is_open = self._has_pauses = True

    @contextmanager
    def in_effect(self) -> Iterator[None]:
        """Have calls that other bridges see inside the block be this one; never across a ``yield`` to its reader."""
        with self.claim.in_effect():
            yield

    def add_attempt(self, attempt: Attempt, *, response_model: str | None = None) -> None:
        """Emit an attempt that has ended; a second one is a retry of the one before, or at another model a fallback."""
        self._guard(self._emit_attempted, attempt, response_model)

    def finish(self, end: CallEnd) -> None:
        """Emit the end of the call, once, and one attempt where none was; nothing where another bridge took it over."""
        if self.has_ended:
            return
        self.has_ended = True
        claim, now = self.claim, perf_counter()
        if claim.ended_at is None:
            claim.ended_at = now
        if claim.is_taken:
            return
        ended_at = now if end.ended_at is None else end.ended_at
        if self._is_open:
            self.pauses.stop()
        if not self.attempts:
            if llm_attempted.receivers or is_heard_in(self._scope, llm_attempted):
                attempt = Attempt(self.started_at, ended_at, end.status, end.error, end.error_type)
                self.add_attempt(attempt, response_model=end.response_model)
            else:
                self.attempts = 1
        self._guard(self._emit_called, end, ended_at)
        if self._interruption is not None:
            interruption, self._interruption = self._interruption, None
            raise interruption

    def fail(self, error: BaseException) -> None:
        """Emit the end of a call that raised an error."""
        self.finish(CallEnd.of_error(error))

    def _guard(self, emit: Callable[..., None], *args: Any) -> None:
        try:
            if get_current_scope() is self._scope:
                emit(*args)
            else:
                with in_scope(self._scope):
                    emit(*args)
        except Exception as failure:
            report_failure(llm_called.name, self.bridge, failure)

    def _emit_started(self) -> None:
        llm_call_started.emit_fields(
            {
                "call_id": self.claim.call_id,
                "model": self.model,
                "requested_model": self.requested_model,
                "provider": self.provider,
                "operation": self.operation,
            }
        )

    def _emit_attempted(self, attempt: Attempt, response_model: str | None) -> None:
        before = self._last
        self._last = attempt
        again = None if before is None else self._again(before, attempt)
        if attempt.model or attempt.provider:
            self.model = label_of(attempt.model or self.model)
            self.provider = label_of(attempt.provider or self.provider)
        self.attempts += 1
        if not (llm_attempted.receivers or is_heard_in(self._scope, llm_attempted)):
            return
        error_type = attempt.error_type
        fields: dict[str, Any] = {
            "call_id": self.claim.call_id,
            "attempt": self.attempts,
            "model": self.model,
            "provider": self.provider,
            "outcome": "rate_limited" if error_type == "rate_limited" else attempt.status,
            "duration": max(0.0, attempt.ended_at - attempt.started_at),
            "status_code": attempt.status_code,
        }
        if response_model := truncate_name(response_model):
            fields["response_model"] = response_model
        if error_type is not None or attempt.error:
            fields["error"], fields["error_type"] = attempt.error, error_type
        if error_type is not None:
            fields["retry_after"] = retry_after(attempt.headers)
        if attempt.headers:
            fields.update(rate_limits(attempt.headers))
        if again is not None:
            fields.update(again)
        llm_attempted.emit_fields(fields)

    def _again(self, before: Attempt, attempt: Attempt) -> dict[str, Any]:
        """Return why there is another attempt, after which time: a retry, or a fallback to another model."""
        reason, asked = before.error_type or "other", (self.model, self.provider)
        model, provider = label_of(attempt.model or self.model), label_of(attempt.provider or self.provider)
        if (model, provider) != asked:
            return {
                "fallback_reason": reason,
                "from_model": self.model,
                "to_model": model,
                "from_provider": self.provider,
            }
        backoff = max(0.0, attempt.started_at - before.ended_at)
        self._backoff += backoff
        return {"retry_reason": reason, "backoff": backoff}

    def _emit_called(self, end: CallEnd, ended_at: float) -> None:
        if not (llm_called.receivers or is_heard_in(self._scope, llm_called)):
            return
        paused = self.pauses.seconds if self._has_pauses else 0.0
        # Without what is the event's default anyway: each field takes time.
        fields: dict[str, Any] = {
            "call_id": self.claim.call_id,
            "model": self.model,
            "requested_model": self.requested_model,
            "provider": self.provider,
            "operation": self.operation,
            "status": end.status,
            "duration": max(0.0, ended_at - self.started_at - paused),
            "attempts": self.attempts,
            "backoff": self._backoff,
            "streamed": self.streamed,
        }
        if end.status != "success" or end.error or end.error_type is not None:
            fields["error"], fields["error_type"] = end.error, end.error_type
        if response_model := truncate_name(end.response_model):
            fields["response_model"] = response_model
        if end.finish_reason is not None:
            fields["finish_reason"] = end.finish_reason
        if end.time_to_first_token is not None or self._has_token_times:
            fields.update(self._token_times(end))
        if end.usage is NO_USAGE:
            fields["usage_source"] = "none"
        else:
            fields.update(vars(end.usage))
        if end.cost is not None or self._price is not None:
            fields.update(self._costs(end))
        llm_called.emit_fields(fields)

    def _token_times(self, end: CallEnd) -> dict[str, Any]:
        """Return when the first token came, and how long each after it took, as far as that was seen."""
        usage, times, first_token = end.usage, self.token_times, end.time_to_first_token
        if first_token is None and times.first_at is not None:
            first_token = max(0.0, times.first_at - self.started_at)
        per_token = times.seconds_per_token(usage.completion_tokens, usage.reasoning_tokens)
        return {"time_to_first_token": first_token, "time_per_output_token": per_token}

    def _costs(self, end: CallEnd) -> dict[str, Any]:
        """Return the cost that the seller says, else that of the price function for tokens that were counted."""
        if end.cost is not None:
            fields = cost_fields(end.cost, end.cost_source)
            if "cost" in fields:
                return fields
        usage = end.usage
        if self._price is None or usage.usage_source != "provider" or usage.prompt_tokens is None:
            return {}
        try:
            priced = self._price(self.provider, truncate_name(end.response_model) or self.model, usage)
            return cost_fields(priced, "price_table")
        except Exception as failure:  # the tokens are known all the same
            report_failure(llm_called.name, self.bridge, failure)
            return cost_fields(None, "price_table")
        except BaseException as interruption:  # such as Ctrl-C: raised once the call is emitted
            self._interruption = interruption
            return cost_fields(None, "price_table")


def start_call(
    bridge: str,
    *,
    model: str,
    provider: str,
    is_exact: bool,
    operation: ModelOperation = "chat",
    streamed: bool = False,
    price: UsagePriceFunction | None = None,
    started_at: float | None = None,
    scope: Scope | None = None,
) -> ModelCall | None:
    """Return a call that starts here, as `ModelCall` describes it; None where another bridge tells it.

    ``is_exact`` is whether the bridge sends the call, or wraps what does, and so knows it exactly: see `claims`.
    """
    claim = claim_call(is_exact=is_exact, model=label_of(model))
    if claim is None:
        return None
    return ModelCall(
        bridge,
        claim,
        model=model,
        provider=provider,
        operation=operation,
        streamed=streamed,
        price=price,
        started_at=started_at,
        scope=scope,
    )


def error_name(error: BaseException | None) -> str:
    """Return the class of an error; "" without one, and for GeneratorExit, which is how Python closes a stream."""
    return "" if error is None or isinstance(error, GeneratorExit) else type(error).__name__
