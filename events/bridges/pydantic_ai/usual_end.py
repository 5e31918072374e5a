"""The end of a request as most are: one model answered it, at once, as a whole, and on the first attempt.

Its events are those that `emit` builds for every other one. That takes twice as long: it asks at each step for what
such a request has not, as retries, fallbacks, streams and queues.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_ai.messages import ModelResponse

from ...llm import llm_attempted, llm_called
from ..model_calls.event_scope import is_heard
from ..model_calls.names import truncate_name
from ..model_calls.response_headers import rate_limits
from .answers import add_answer
from .billing import NO_BILLING
from .call_state import AnyResponse
from .emit import fault_of
from .response import finish_reason, response_fault

if TYPE_CHECKING:
    from .calls import OngoingRequest


def is_usual(request: OngoingRequest, response: AnyResponse | None) -> bool:
    """Return whether a request that has raised nothing is such a one, by its response."""
    if type(response) is not ModelResponse or request.is_streamed or request.is_attempt or request.has_attempts:
        return False
    call, sent = request.call, request.http_requests
    if call.attempts or not call.is_timed or len(request.members) > 1:
        return False
    if sent and (len(sent) > 1 or sent[0].pool_wait or sent[0].error is not None):
        return False
    return response_fault(response) is None


def emit_usual_end(request: OngoingRequest, response: ModelResponse, ended_at: float) -> None:
    """Emit `llm_attempted` and `llm_called` for such a request."""
    call, asked_model = request.call, request.model
    model, provider = call.names_of(asked_model)
    call_id, duration = call.id, max(0.0, ended_at - request.started_at)
    # First, as a price takes time: both end together. What the price function changes of the response is read after it.
    add_answer(call, asked_model, response, complete=True)
    call.attempts = 1
    if is_heard(llm_attempted):
        attempted: dict[str, Any] = {
            "call_id": call_id,
            "attempt": 1,
            "model": model,
            "provider": provider,
            "outcome": "success",
            "duration": duration,
            "status_code": request.status_code,
            "response_model": truncate_name(response.model_name) or None,
        }
        if request.headers:
            attempted.update(rate_limits(request.headers))
        llm_attempted.emit_fields(attempted)
    call.claim.has_ended = call.is_emitted = True
    if is_heard(llm_called):
        billing = call.answers[0].billing if call.answers else NO_BILLING  # nobody had heard of it just before
        called: dict[str, Any] = {
            "call_id": call_id,
            "model": model,
            "requested_model": call.requested_model,
            "provider": provider,
            "status": "success",
            "duration": duration,
            "backoff": 0.0,
            "queue_wait": 0.0,
            "response_model": truncate_name(response.model_name) or None,
            "finish_reason": finish_reason(response),
            **vars(billing.usage),
        }
        if billing.cost_source is not None:
            called.update(billing.costs)
        if (fault := fault_of(call, response, asked_model)) is not None:
            called["output_fault"] = fault
        llm_called.emit_fields(called)
