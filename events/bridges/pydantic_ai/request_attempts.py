"""Emits the attempts of one request to a model: the HTTP requests that the SDK sent for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..model_calls.response_headers import NO_HEADERS, read_headers
from .call_state import AnyResponse, RequestOutcome
from .emit import emit_attempted
from .http_attempts import HTTPAttempt, attempts_at_answer, last_outcome, retried_outcome
from .members import asks_instrumented

if TYPE_CHECKING:
    from .calls import OngoingRequest


def emit_retried(request: OngoingRequest, attempts: Sequence[HTTPAttempt]) -> None:
    """Emit `llm_attempted` for HTTP requests of one request that the SDK has sent again."""
    for each in attempts:
        outcome = retried_outcome(request.http_requests, each, request.started_at)
        outcome = replace(outcome, asked_at=request.asked_at)
        emit_attempted(request.call, request.model, outcome, None, read_headers(each.headers), each.status_code)


def emit_attempts(request: OngoingRequest, outcome: RequestOutcome, response: AnyResponse | None) -> None:
    """Emit `llm_attempted` for each HTTP request that was not emitted yet, or once where none was observed.

    Of several models, which one a request was for is not known. One that failed before an instrumented model that
    it wraps was asked, as in the queue of a limiter, was no attempt.
    """
    queue, sent = request.call.intervals, request.http_requests
    has_failed, is_of_one = outcome.status != "success", len(request.members) == 1
    if has_failed and asks_instrumented(request.asked):
        queue.append(("queue", request.started_at, outcome.ended_at))
        return
    given_up = [each for each in sent if each.error is not None and each.was_given_up_in_queue]
    for each in given_up:
        queue.append(("queue", each.started_at, each.ended_at or outcome.ended_at))
    # While the SDK waited to send it again: what failed before is emitted.
    ends_in_queue = has_failed and is_of_one and given_up and given_up[-1] is sent[-1]
    if given_up and (given_up == sent or ends_in_queue):
        return
    if sent and is_of_one:
        if len(sent) > 1:
            earlier = attempts_at_answer(sent)[:-1]
            emit_retried(request, [each for each in earlier if not each.is_emitted])
        outcome = last_outcome(sent, outcome)
    # Which of several models a failure's headers are of is not known either.
    headers = request.headers if response is not None or is_of_one else NO_HEADERS
    emit_attempted(request.call, request.model, outcome, response, headers, request.status_code)
