"""Builds and emits the events of a call to a model and of its attempts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model

from ...bus.failures import report_failure
from ...llm import OutputFault, llm_attempted, llm_call_started, llm_called, llm_usage_billed
from ..model_calls.event_scope import is_heard
from ..model_calls.names import truncate_name
from ..model_calls.response_headers import rate_limits, retry_after
from ..model_calls.token_usage import NO_USAGE
from .answers import bill_call, find_answer, model_response, read_or_default
from .call_state import SHORTEST_QUEUE, Answer, AnyResponse, AskedModel, CallState, RequestOutcome
from .output_faults import output_fault
from .response import finish_reason, has_failed


def emit_call_started(call: CallState, model: Model) -> None:
    """Emit `llm_call_started`; a failure to do so is reported and not raised."""
    if not is_heard(llm_call_started):
        return
    try:
        model_name, provider = call.names_of(model)
        llm_call_started.emit_fields(
            {"call_id": call.id, "model": model_name, "requested_model": call.requested_model, "provider": provider}
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
    """Emit `llm_attempted`, with the seconds that it waited in queues of one's own.

    A first attempt is made at once, unless a limiter holds it back.
    """
    asked, error, error_type = call.names_of(model), outcome.error, outcome.error_type
    again: dict[str, Any] = {}
    queue_wait = outcome.started_at - call.started_at
    if call.last is not None:
        again, queue_wait = after_another(call, asked, call.last[1], outcome)
        call.backoff += again.get("backoff", 0.0)
    call.attempts += 1
    call.asked, call.last = asked, (response, outcome)
    call.attempted.update(outcome.asked_at)
    call.intervals.append(("attempt", outcome.started_at, outcome.ended_at))
    is_queued = queue_wait >= SHORTEST_QUEUE
    if is_queued:
        call.intervals.append(("queue", outcome.started_at - queue_wait, outcome.started_at))
    if not is_heard(llm_attempted):
        return
    # Without what is the event's default anyway: each field takes time.
    fields: dict[str, Any] = {
        "call_id": call.id,
        "attempt": call.attempts,
        "model": asked.model,
        "provider": asked.provider,
        "outcome": "rate_limited" if error_type == "rate_limited" else outcome.status,
        "duration": outcome.duration if call.is_timed else None,
        "status_code": status_code if error is None else getattr(error, "status_code", None) or status_code,
        "queue_wait": queue_wait if is_queued else None,
    }
    if response is not None:
        fields["response_model"] = truncate_name(response.model_name) or None
    if error is not None or error_type is not None:
        fields["error"], fields["error_type"] = outcome.error_name, error_type
    if error_type is not None:
        fields["retry_after"] = getattr(error, "retry_after", None) or retry_after(headers)
    llm_attempted.emit_fields({**fields, **again, **rate_limits(headers)})


def after_another(
    call: CallState, asked: AskedModel, before: RequestOutcome, outcome: RequestOutcome
) -> tuple[dict[str, Any], float]:
    """Return why there is an attempt after another one, and the seconds that it waited in queues.

    It is a retry where the attempt before was at the same model, else a fallback; the same name at another provider is
    another model. One that was asked for before the last one had ended is neither: several were asked at once. Before a
    retry, backoff ends when it is asked for, and a queue begins; a fallback is made at once, as a first attempt.
    """
    asked_at = attempt_asked_at(call, outcome)
    if before.ended_at > asked_at:
        return {}, outcome.started_at - asked_at
    reason, previous = before.error_type or "other", call.asked
    if previous == asked:
        return {"retry_reason": reason, "backoff": asked_at - before.ended_at}, outcome.started_at - asked_at
    fields = {"fallback_reason": reason, "to_model": asked.model}
    if previous is not None:
        fields["from_model"], fields["from_provider"] = previous
    return fields, outcome.started_at - before.ended_at


def attempt_asked_at(call: CallState, outcome: RequestOutcome) -> float:
    """Return when an attempt was asked for: when the first request to an instrumented model was that had none yet.

    From then on it stood in a queue, such as that of a limiter; without such a request, since it waited for a
    connection.
    """
    unattempted = (moment for moment in outcome.asked_at if moment not in call.attempted)
    return min((*unattempted, outcome.started_at - outcome.pool_wait))


def emit_called(call: CallState, first: Model, outcome: RequestOutcome, response: AnyResponse | None) -> None:
    """Emit `llm_called` after the last attempt, with what all attempts were billed.

    It stands under the model that answered, or else was asked last. ``first`` is the one that got the first request.
    """
    call.is_emitted = True
    if not (is_heard(llm_called) or is_heard(llm_usage_billed)):
        return
    duration = outcome.duration
    queue_wait = min(call.queue_wait(outcome.ended_at), duration) if call.attempts else duration
    last = None if response is None else model_response(response)
    answer = find_answer(call, response)
    asked = answer.asked if answer else call.asked or call.names_of(first)
    billing, itemized = bill_call(call, asked)
    # Without what is the event's default anyway: each field takes time.
    fields: dict[str, Any] = {
        "call_id": call.id,
        "model": asked.model,
        "requested_model": call.requested_model,
        "provider": asked.provider,
        "status": outcome.status,
        "duration": max(0.0, duration - queue_wait) if call.is_timed else None,
        "attempts": call.attempts,
        "backoff": call.backoff,
        "queue_wait": queue_wait,
        "streamed": call.spec.streamed,
        "itemized": itemized,
    }
    if outcome.error is not None or outcome.status != "success":
        fields["error"], fields["error_type"] = outcome.error_name, outcome.error_type
    if last is not None:
        fields["response_model"] = truncate_name(last.model_name) or None
        if outcome.status == "success":
            fields["finish_reason"] = finish_reason(last)
            fields["output_fault"] = fault_of(call, last, answer.model if answer else first)
        elif has_failed(last):
            fields["finish_reason"] = finish_reason(last)
    first_token, per_token = token_latencies(call, outcome, answer)
    if first_token is not None:
        fields["time_to_first_token"], fields["time_per_output_token"] = first_token, per_token
    if billing.cost_source is not None:
        fields.update(billing.costs)
    fields.update(vars(billing.usage))
    llm_called.emit_fields(fields)


def fault_of(call: CallState, response: ModelResponse, model: Model) -> OutputFault | None:
    """Return what is wrong with the complete response of a call; None where nothing is, or the validator failed."""
    is_valid = call.spec.is_valid_output
    if is_valid is not None:
        is_valid = partial(call.interruptions.ask, is_valid)
    return read_or_default(None, output_fault, response, call.spec.parameters, is_valid, model)


def token_latencies(
    call: CallState, outcome: RequestOutcome, answer: Answer | None
) -> tuple[float | None, float | None]:
    """Return the seconds to the first token, and the seconds per token after it; None where they were not observed."""
    times = outcome.token_times
    if times.first_at is None and call.last is not None:
        times = call.last[1].token_times
    if times.first_at is None or not call.is_timed:
        return None, None
    usage = answer.billing.usage if answer else NO_USAGE
    first = max(0.0, times.first_at - outcome.started_at - call.queue_wait(times.first_at))
    return first, times.seconds_per_token(usage.completion_tokens, usage.reasoning_tokens)
