"""Builds and emits the events of a call to a model and of its attempts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from secrets import token_hex
from typing import TypeVar

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.settings import ModelSettings

from ...bus.failures import report_failure
from ...bus.fields import UNKNOWN, ErrorType, Status
from ...llm import llm_attempted, llm_call_started, llm_called
from .cost import Billing, PriceFunction, billing_of
from .error_types import error_type_of_status
from .response import SchemaValidator, finish_reason, output_fault, rate_limit_remaining, truncate_name

AnyResponse = ModelResponse | StreamedResponse
T = TypeVar("T")


@dataclass(kw_only=True)
class RequestSpec:
    """A request to a model, and how its response is to be priced and validated."""

    messages: list[ModelMessage]
    settings: ModelSettings | None
    parameters: ModelRequestParameters
    streamed: bool
    price: PriceFunction | None = None
    is_valid_output: SchemaValidator | None = None


@dataclass
class CallState:
    """The state that the attempts of one logical call share; `emit_attempted` updates it after each attempt."""

    spec: RequestSpec
    requested_model: str
    id: str = field(default_factory=lambda: token_hex(16))
    attempts: int = 0
    model: str = ""
    """Of the last attempt."""
    error_type: ErrorType | None = None
    """Of the last attempt; None where it succeeded."""
    model_started_at: float = 0.0
    """When the first of the consecutive attempts at the current model began."""
    ended_at: float = 0.0
    """When the last attempt ended."""
    backoff: float = 0.0
    first_token_at: float | None = None
    failed_billings: list[tuple[AnyResponse, Billing]] = field(default_factory=list)
    """What attempts that failed were billed, each with as much of its response as arrived."""


@dataclass(frozen=True, kw_only=True)
class RequestOutcome:
    """How and when a request ended; times are those of `time.perf_counter`."""

    status: Status
    error: BaseException | None
    started_at: float
    ended_at: float
    first_token_at: float | None

    @property
    def error_type(self) -> ErrorType | None:
        """Why the request failed; None where it succeeded."""
        return error_type_of_status(self.status, self.error)

    @property
    def error_name(self) -> str:
        """The class of the error, "" without one; GeneratorExit is how Python closes a stream, and no error."""
        return "" if self.error is None or isinstance(self.error, GeneratorExit) else type(self.error).__name__


def emit_call_started(call: CallState, model: Model) -> None:
    """Emit `llm_call_started`; a failure to do so is reported and not raised."""
    try:
        llm_call_started.emit(
            call_id=call.id,
            model=truncate_name(model.model_name) or UNKNOWN,
            requested_model=truncate_name(call.requested_model) or UNKNOWN,
            provider=truncate_name(model.system) or UNKNOWN,
        )
    except Exception as failure:
        report_failure(llm_call_started.name, "pydantic_ai", failure)


def emit_attempted(
    call: CallState, model: Model, outcome: RequestOutcome, headers: Mapping[str, str], status_code: int | None
) -> None:
    """Emit `llm_attempted`: a retry where the attempt before was at the same model, else a fallback."""
    name, error, error_type = truncate_name(model.model_name) or UNKNOWN, outcome.error, outcome.error_type
    previous_model, is_same_model = call.model, call.model == name
    previous_failure = (call.error_type or "other") if call.attempts else None
    backoff = max(outcome.started_at - call.ended_at, 0.0) if previous_failure and is_same_model else None
    call.attempts += 1
    call.model, call.error_type, call.ended_at = name, error_type, outcome.ended_at
    call.first_token_at = None if error_type else outcome.first_token_at
    call.backoff += backoff or 0.0
    llm_attempted.emit(
        call_id=call.id,
        attempt=call.attempts,
        model=name,
        provider=truncate_name(model.system) or UNKNOWN,
        outcome="rate_limited" if error_type == "rate_limited" else outcome.status,
        duration=outcome.ended_at - outcome.started_at,
        error=outcome.error_name,
        error_type=error_type,
        status_code=getattr(error, "status_code", None) or status_code,
        retry_after=getattr(error, "retry_after", None),
        retry_reason=previous_failure if is_same_model else None,
        fallback_reason=None if is_same_model else previous_failure,
        from_model=previous_model if previous_failure and not is_same_model else None,
        to_model=name if previous_failure and not is_same_model else None,
        backoff=backoff,
        remaining_requests=rate_limit_remaining(headers, "requests"),
        remaining_tokens=rate_limit_remaining(headers, "tokens"),
    )


def add_failed_billing(call: CallState, model: Model, response: AnyResponse) -> None:
    """Add what an attempt was billed that failed half-way: the call costs that too, however it goes on."""
    billing = read_or_default(lambda: read_billing(call, model, model_response(response), complete=False), Billing())
    call.failed_billings.append((response, billing))


def read_billing(call: CallState, model: Model, response: ModelResponse, *, complete: bool) -> Billing:
    """Return the billing of a response, priced by the names in it, or where it has none by those of the request."""
    provider = truncate_name(response.provider_name) or truncate_name(model.system)
    name = truncate_name(response.model_name) or call.model
    return billing_of(response, call.spec.messages, provider, name, call.spec.price, complete=complete)


def read_or_default(read: Callable[[], T], default: T) -> T:
    """Return what ``read`` returns; where a price function or a validator raises, report it and return ``default``."""
    try:
        return read()
    except Exception as failure:
        report_failure(llm_called.name, "pydantic_ai", failure)
        return default


def model_response(response: AnyResponse) -> ModelResponse:
    """Return a response as it is, of a stream as much as was read."""
    return response.get() if isinstance(response, StreamedResponse) else response


def emit_called(call: CallState, first: Model, outcome: RequestOutcome, response: AnyResponse | None) -> None:
    """Emit `llm_called` after the last attempt, with what all attempts were billed.

    ``first`` is the model that got the first request; its provider is used where the response names none.
    """
    spec, model, provider = call.spec, call.model or UNKNOWN, truncate_name(first.system) or UNKNOWN
    complete, billing = None, Billing()
    if response is not None:
        last = model_response(response)
        complete = last if outcome.status == "success" else None
        billing = read_or_default(lambda: read_billing(call, first, last, complete=complete is not None), Billing())
        model = truncate_name(last.model_name) or model
        provider = truncate_name(last.provider_name) or provider
    output_tokens = billing.usage.completion_tokens
    # A stream that broke is the response of its attempt, and also of the call if no attempt came after: count it once.
    billing = sum((failed for partial, failed in call.failed_billings if partial is not response), billing)
    time_to_first_token, time_per_output_token = token_latencies(call, outcome, output_tokens)
    llm_called.emit(
        call_id=call.id,
        model=model,
        requested_model=truncate_name(call.requested_model) or UNKNOWN,
        provider=provider,
        status=outcome.status,
        duration=outcome.ended_at - outcome.started_at,
        error=outcome.error_name,
        error_type=outcome.error_type,
        attempts=call.attempts,
        backoff=call.backoff,
        streamed=spec.streamed,
        finish_reason=finish_reason(complete) if complete else None,
        output_fault=(
            read_or_default(lambda: output_fault(complete, spec.parameters, spec.is_valid_output), None)
            if complete
            else None
        ),
        time_to_first_token=time_to_first_token,
        time_per_output_token=time_per_output_token,
        **billing.costs,
        **asdict(billing.usage),
    )


def token_latencies(
    call: CallState, outcome: RequestOutcome, output_tokens: int | None
) -> tuple[float | None, float | None]:
    """Return the seconds to the first token, and the seconds per token after it; None where they were not observed."""
    first_token_at = outcome.first_token_at or call.first_token_at
    if first_token_at is None:
        return None, None
    rest = outcome.ended_at - first_token_at
    per_token = rest / (output_tokens - 1) if output_tokens and output_tokens > 1 and rest > 0 else None
    return first_token_at - outcome.started_at, per_token
