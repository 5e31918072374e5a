"""What is told of a call to a model and of its attempts."""

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
from .error_types import failure_type
from .response import Fits, finish_reason, named, output_fault, remaining
from .usage import Bill, Price, bill_of

Answer = ModelResponse | StreamedResponse
T = TypeVar("T")


@dataclass(kw_only=True)
class Asked:
    """What a model is asked, and what is to be known of its answer."""

    messages: list[ModelMessage]
    settings: ModelSettings | None
    parameters: ModelRequestParameters
    streamed: bool
    price: Price | None = None
    fits: Fits | None = None


@dataclass
class Call:
    """What the attempts of one logical call have in common."""

    asked: Asked
    requested: str
    id: str = field(default_factory=lambda: token_hex(16))
    attempts: int = 0
    model: str = ""
    failed: ErrorType | None = None
    turned: float = 0.0
    """When its first attempt at the model began that it is asking now."""
    ended: float = 0.0
    backoff: float = 0.0
    first_token: float | None = None
    lost: list[tuple[Answer, Bill]] = field(default_factory=list)
    """What attempts that failed were billed for, each with as much of its answer as came."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How and when a request ended."""

    status: Status
    error: BaseException | None
    began: float
    ended: float
    first_token: float | None

    @property
    def error_type(self) -> ErrorType | None:
        """Why it gave no answer."""
        return failure_type(self.status, self.error)

    @property
    def error_name(self) -> str:
        """The error's class; a closed stream is no error, and GeneratorExit is how Python closes one."""
        return "" if self.error is None or isinstance(self.error, GeneratorExit) else type(self.error).__name__


def tell_start(call: Call, model: Model) -> None:
    """Tell that a call began; whatever goes wrong in telling stays here."""
    try:
        llm_call_started.emit(
            call_id=call.id,
            model=named(model.model_name) or UNKNOWN,
            requested_model=named(call.requested) or UNKNOWN,
            provider=named(model.system) or UNKNOWN,
        )
    except Exception as failure:
        report_failure(llm_call_started.name, "pydantic_ai", failure)


def tell_attempt(call: Call, model: Model, ending: Ending, headers: Mapping[str, str], status_code: int | None) -> None:
    """Tell that an attempt ended; what it has to do with the one before shows by their models."""
    name, error, failed = named(model.model_name) or UNKNOWN, ending.error, ending.error_type
    earlier, again = call.model, call.model == name
    before = (call.failed or "other") if call.attempts else None
    backoff = max(ending.began - call.ended, 0.0) if before and again else None
    call.attempts += 1
    call.model, call.failed, call.ended = name, failed, ending.ended
    call.first_token = None if failed else ending.first_token
    call.backoff += backoff or 0.0
    llm_attempted.emit(
        call_id=call.id,
        attempt=call.attempts,
        model=name,
        provider=named(model.system) or UNKNOWN,
        outcome="rate_limited" if failed == "rate_limited" else ending.status,
        duration=ending.ended - ending.began,
        error=ending.error_name,
        error_type=failed,
        status_code=getattr(error, "status_code", None) or status_code,
        retry_after=getattr(error, "retry_after", None),
        retry_reason=before if again else None,
        fallback_reason=None if again else before,
        from_model=earlier if before and not again else None,
        to_model=name if before and not again else None,
        backoff=backoff,
        remaining_requests=remaining(headers, "requests"),
        remaining_tokens=remaining(headers, "tokens"),
    )


def keep_bill(call: Call, model: Model, answer: Answer) -> None:
    """Keep the bill of an attempt that failed half-way: the call has to pay for it too, however it goes on."""
    bill = guarded(lambda: read_bill(call, model, said_by(answer), whole=False), Bill())
    call.lost.append((answer, bill))


def read_bill(call: Call, model: Model, said: ModelResponse, *, whole: bool) -> Bill:
    """Read what an answer is billed for, by the names that it gives, or else by those of the model that was asked."""
    provider, name = named(said.provider_name) or named(model.system), named(said.model_name) or call.model
    return bill_of(said, call.asked.messages, provider, name, call.asked.price, whole=whole)


def guarded(read: Callable[[], T], otherwise: T) -> T:
    """Read something of an answer; where a price or a schema breaks it, report that and tell the call without."""
    try:
        return read()
    except Exception as failure:
        report_failure(llm_called.name, "pydantic_ai", failure)
        return otherwise


def said_by(answer: Answer) -> ModelResponse:
    """Give an answer, or as much of a stream as was read."""
    return answer.get() if isinstance(answer, StreamedResponse) else answer


def tell_call(call: Call, first: Model, ending: Ending, answer: Answer | None) -> None:
    """Tell that a call ended, after its last attempt, with all that its attempts were billed for."""
    asked, model, provider = call.asked, call.model or UNKNOWN, named(first.system) or UNKNOWN
    whole, bill = None, Bill()
    if answer is not None:
        said = said_by(answer)
        whole = said if ending.status == "success" else None
        bill = guarded(lambda: read_bill(call, first, said, whole=whole is not None), Bill())
        model, provider = named(said.model_name) or model, named(said.provider_name) or provider
    written = bill.counted.completion_tokens
    # A stream that broke is the answer of its attempt, and of the call where nothing came after it.
    bill = sum((lost for part, lost in call.lost if part is not answer), bill)
    to_first, to_next = pace(call, ending, written)
    llm_called.emit(
        call_id=call.id,
        model=model,
        requested_model=named(call.requested) or UNKNOWN,
        provider=provider,
        status=ending.status,
        duration=ending.ended - ending.began,
        error=ending.error_name,
        error_type=ending.error_type,
        attempts=call.attempts,
        backoff=call.backoff,
        streamed=asked.streamed,
        finish_reason=finish_reason(whole) if whole else None,
        output_fault=guarded(lambda: output_fault(whole, asked.parameters, asked.fits), None) if whole else None,
        cost=bill.cost,
        cost_source=bill.cost_source,
        time_to_first_token=to_first,
        time_per_output_token=to_next,
        **asdict(bill.counted),
    )


def pace(call: Call, ending: Ending, written: int | None) -> tuple[float | None, float | None]:
    """Give the time to the first token and between two later ones, where they were seen to come."""
    came = ending.first_token or call.first_token
    if came is None:
        return None, None
    rest = ending.ended - came
    return came - ending.began, rest / (written - 1) if written and written > 1 and rest > 0 else None
