"""Builds and emits the events of a call to a model and of its attempts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model, StreamedResponse

from ...bus.failures import report_failure
from ...bus.fields import UNKNOWN
from ...llm import CostSource, llm_attempted, llm_call_started, llm_called, llm_usage_billed
from ..model_calls.names import truncate_name
from ..model_calls.response_headers import rate_limits, retry_after
from ..model_calls.token_usage import TokenUsage
from .billing import Billing, billing_of
from .call_state import SHORTEST_QUEUE, Answer, AnyResponse, AskedModel, CallState, RequestOutcome
from .interruptions import Interrupted
from .output_faults import output_fault
from .response import finish_reason, has_failed

T = TypeVar("T")


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


def emit_attempted(  # noqa: PLR0917 - its one caller passes all that it has
    call: CallState,
    model: Model,
    outcome: RequestOutcome,
    response: AnyResponse | None,
    headers: Mapping[str, str],
    status_code: int | None,
) -> None:
    """Emit `llm_attempted`: a retry where the attempt before was at the same model, else a fallback.

    The same name at another provider is another model. An attempt that was asked for before the last one had ended is
    neither: several were asked at once.
    """
    asked, error, error_type = AskedModel.of(model), outcome.error, outcome.error_type
    before = call.last[1] if call.last else None
    previous, previous_failure = call.asked, None
    asked_at = attempt_asked_at(call, outcome)
    if before is not None and before.ended_at <= asked_at:
        previous_failure = before.error_type or "other"
    is_retry = previous_failure is not None and previous == asked
    is_fallback = previous_failure is not None and not is_retry
    backoff, queue_wait = waits_before(call, before, outcome, asked_at, is_retry=is_retry, is_fallback=is_fallback)
    call.attempts += 1
    call.asked, call.last = asked, (response, outcome)
    call.backoff += backoff or 0.0
    call.attempted.update(outcome.asked_at)
    call.intervals.append(("attempt", outcome.started_at, outcome.ended_at))
    if queue_wait is not None:
        call.intervals.append(("queue", outcome.started_at - queue_wait, outcome.started_at))
    llm_attempted.emit(
        call_id=call.id,
        attempt=call.attempts,
        model=asked.model,
        provider=asked.provider,
        response_model=(truncate_name(response.model_name) or None) if response is not None else None,
        outcome="rate_limited" if error_type == "rate_limited" else outcome.status,
        duration=outcome.duration if call.is_timed else None,
        error=outcome.error_name,
        error_type=error_type,
        status_code=getattr(error, "status_code", None) or status_code,
        retry_after=None if error_type is None else getattr(error, "retry_after", None) or retry_after(headers),
        retry_reason=previous_failure if is_retry else None,
        fallback_reason=previous_failure if is_fallback else None,
        from_model=previous.model if is_fallback and previous else None,
        to_model=asked.model if is_fallback else None,
        from_provider=previous.provider if is_fallback and previous else None,
        backoff=backoff,
        queue_wait=queue_wait,
        **rate_limits(headers),
    )


def attempt_asked_at(call: CallState, outcome: RequestOutcome) -> float:
    """Return when an attempt was asked for: when the first request to an instrumented model was that had none yet.

    From then on it stood in a queue, such as that of a limiter; without such a request, since it waited for a
    connection.
    """
    unattempted = (moment for moment in outcome.asked_at if moment not in call.attempted)
    return min((*unattempted, outcome.started_at - outcome.pool_wait))


def waits_before(
    call: CallState,
    before: RequestOutcome | None,
    outcome: RequestOutcome,
    asked_at: float,
    *,
    is_retry: bool,
    is_fallback: bool,
) -> tuple[float | None, float | None]:
    """Return the backoff before an attempt, and how long it waited in queues of one's own; None where it did not.

    Before a retry, backoff ends when it is asked for, and a queue begins. A first attempt and a fallback are made at
    once, unless a limiter holds them back.
    """
    if is_retry and before is not None:
        backoff, queue_wait = asked_at - before.ended_at, outcome.started_at - asked_at
    elif is_fallback and before is not None:
        backoff, queue_wait = None, outcome.started_at - before.ended_at
    elif before is None:
        backoff, queue_wait = None, outcome.started_at - call.started_at
    else:
        backoff, queue_wait = None, outcome.started_at - asked_at
    return backoff, queue_wait if queue_wait >= SHORTEST_QUEUE else None


def add_answer(call: CallState, model: Model, response: AnyResponse, *, complete: bool) -> None:
    """Add the answer of an attempt to its call, which pays for it whatever becomes of it.

    ``complete`` is False where the answer broke off. The answer of an attempt that outlived its call is billed at once.
    """
    whole = model_response(response)
    answer = Answer(
        model=model,
        asked=AskedModel.of(model),
        response=response,
        parts=whole.parts,
        response_model=truncate_name(whole.model_name) or None,
        complete=complete,
        billing=read_or_default(lambda: read_billing(call, model, whole, complete=complete), Billing()),
    )
    if call.has_ended:
        emit_usage_billed(call, [answer])
    else:
        call.answers.append(answer)


def emit_usage_billed(call: CallState, answers: Iterable[Answer]) -> None:
    """Emit `llm_usage_billed` for each model that was billed for one of the answers, and each source of its cost."""
    bills: defaultdict[tuple[AskedModel, CostSource | None], list[Answer]] = defaultdict(list)
    for answer in answers:
        bills[answer.asked, answer.billing.cost_source].append(answer)
    for (asked, _), billed in bills.items():
        billing = sum((answer.billing for answer in billed), Billing())
        llm_usage_billed.emit(
            call_id=call.id,
            model=asked.model,
            provider=asked.provider,
            response_model=billed[-1].response_model,
            **billing.costs,
            **vars(billing.usage),
        )


def read_billing(call: CallState, model: Model, response: ModelResponse, *, complete: bool) -> Billing:
    """Return the billing of a response, priced by the names in it, or where it has none by those of the request."""
    provider = truncate_name(response.provider_name) or truncate_name(model.system)
    name = truncate_name(response.model_name) or truncate_name(model.model_name)
    return billing_of(
        response, call.spec.messages, provider, name, call.interruptions.watch(call.spec.price), complete=complete
    )


def read_or_default(read: Callable[[], T], default: T) -> T:
    """Return what ``read`` returns; where a price function or a validator raises, report it and return ``default``."""
    try:
        return read()
    except Interrupted:
        return default
    except Exception as failure:
        report_failure(llm_called.name, "pydantic_ai", failure)
        return default


def model_response(response: AnyResponse) -> ModelResponse:
    """Return a response as it is, of a stream as much as was read."""
    return response.get() if isinstance(response, StreamedResponse) else response


def emit_called(call: CallState, first: Model, outcome: RequestOutcome, response: AnyResponse | None) -> None:
    """Emit `llm_called` after the last attempt, with what all attempts were billed.

    It stands under the model that answered, or else was asked last. ``first`` is the one that got the first request.
    """
    queue_wait = min(call.queue_wait(outcome.ended_at) if call.attempts else outcome.duration, outcome.duration)
    spec, last = call.spec, None if response is None else model_response(response)
    complete = last if outcome.status == "success" else None
    answer = find_answer(call, response)
    asked = answer.asked if answer else call.asked or AskedModel.of(first)
    billed = [each for each in call.answers if each.billing != Billing()]
    sources = {each.billing.cost_source for each in billed} - {None}
    itemized = any(each.asked != asked for each in billed) or len(sources) > 1
    if itemized:
        emit_usage_billed(call, billed)
    billing = billed[0].billing if len(billed) == 1 else sum((each.billing for each in billed), Billing())
    time_to_first_token, time_per_output_token = token_latencies(call, outcome, answer)
    reason = finish_reason(last) if last and (complete or has_failed(last)) else None
    is_valid = call.interruptions.watch(spec.is_valid_output)
    fault = None
    if complete is not None:
        model = answer.model if answer else first
        fault = read_or_default(lambda: output_fault(complete, spec.parameters, is_valid, model), None)
    call.is_emitted = True
    llm_called.emit(
        call_id=call.id,
        model=asked.model,
        requested_model=truncate_name(call.requested_model) or UNKNOWN,
        response_model=(truncate_name(last.model_name) or None) if last else None,
        provider=asked.provider,
        status=outcome.status,
        duration=max(0.0, outcome.duration - queue_wait) if call.is_timed else None,
        error=outcome.error_name,
        error_type=outcome.error_type,
        attempts=call.attempts,
        backoff=call.backoff,
        queue_wait=queue_wait,
        streamed=spec.streamed,
        finish_reason=reason,
        output_fault=fault,
        itemized=itemized,
        time_to_first_token=time_to_first_token,
        time_per_output_token=time_per_output_token,
        **billing.costs,
        **vars(billing.usage),
    )


def find_answer(call: CallState, response: AnyResponse | None) -> Answer | None:
    """Return the attempt's answer that a call's response is; of one that was made anew, the last complete answer."""
    if response is None:
        return None
    exact = (answer for answer in reversed(call.answers) if answer.is_response(response))
    return next(exact, None) or next((answer for answer in reversed(call.answers) if answer.complete), None)


def token_latencies(
    call: CallState, outcome: RequestOutcome, answer: Answer | None
) -> tuple[float | None, float | None]:
    """Return the seconds to the first token, and the seconds per token after it; None where they were not observed."""
    times = outcome.token_times
    if times.first_at is None and call.last is not None:
        times = call.last[1].token_times
    if times.first_at is None or not call.is_timed:
        return None, None
    usage = answer.billing.usage if answer else TokenUsage()
    first = max(0.0, times.first_at - outcome.started_at - call.queue_wait(times.first_at))
    return first, times.seconds_per_token(usage.completion_tokens, usage.reasoning_tokens)
