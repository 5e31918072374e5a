"""The requests of a provider's batch API: the result of each is a call, told when it is read.

pydantic-ai submits, polls and collects batches by methods of a model's own (``batch_create``, ``batch_decode``), for
`model_request_batch` and for the capability `BatchModelRequests`. How long the provider let a request lie says nothing
of the model, so such a call has no duration, and is not under way in the meantime.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter
from typing import Any

from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model

from ...bus.failures import report_failure
from ...bus.fields import ErrorType, Status
from ...llm import llm_called
from ..model_calls.error_types import status_of_error
from ..model_calls.token_times import TokenTimes
from .answers import add_answer
from .call_state import CallState, RequestOutcome, RequestSpec
from .emit import emit_attempted, emit_called
from .members import first_model
from .response import UNREADABLE, response_fault

MAX_FAILED_BATCHES = 1024

UNRUN: dict[str, Status] = {"expired": "timeout", "canceled": "cancelled"}
"""How a request ended that the provider did not run, by what it calls that."""

_is_inside: ContextVar[bool] = ContextVar("events.bridges.pydantic_ai.batches", default=False)


@contextmanager
def outermost() -> Iterator[bool]:
    """Yield whether this is no instrumented model inside another one, which emits the events then."""
    if _is_inside.get():
        yield False
        return
    token = _is_inside.set(True)
    try:
        yield True
    finally:
        _is_inside.reset(token)


def decode_result(
    model: Model, spec: RequestSpec, result: Any, decode: Callable[[Any, Any], ModelResponse], request: Any
) -> ModelResponse:
    """Return the response that a result of a batch is decoded to, and emit the events of its call.

    Of instrumented models inside one another, the outermost emits.
    """
    with outermost() as emits:
        try:
            response = decode(result, request)
        except Exception as error:
            if emits:
                emit_result(model, spec, UNRUN.get(result.status) or status_of_error(error), error=error)
            raise
    if emits:
        emit_result(model, spec, "success", response)
    return response


def emit_failed_requests(model: Model, specs: Sequence[RequestSpec], error: Exception) -> None:
    """Emit the events of requests that failed with their batch, before the provider ran them."""
    for spec in specs:
        emit_result(model, spec, status_of_error(error), error=error)


def emit_result(
    model: Model,
    spec: RequestSpec,
    status: Status,
    response: ModelResponse | None = None,
    error: Exception | None = None,
) -> None:
    """Emit `llm_attempted` and `llm_called` for a request of a batch; a failure to do so is reported and not raised."""
    call: CallState | None = None
    try:
        asked, now = first_model(model), perf_counter()
        fault: ErrorType | None = None
        if response is not None and (fault := response_fault(response)) is not None:
            status = "error"
        elif status == "error" and isinstance(error, UNREADABLE):
            fault = "invalid_response"
        call = CallState(spec, model.model_name)
        call.is_timed, call.started_at = False, now
        outcome = RequestOutcome(
            status=status, error=error, started_at=now, ended_at=now, token_times=TokenTimes(), fault=fault
        )
        if response is not None:
            add_answer(call, asked, response, complete=status == "success")
        emit_attempted(call, asked, outcome, response, {}, None)
        call.claim.has_ended = True
        emit_called(call, asked, outcome, response)
    except Exception as failure:
        report_failure(llm_called.name, "pydantic_ai", failure)
    if call is not None:
        call.interruptions.raise_first()


class FailedBatches:
    """The batches that failed as a whole, so that each counts once: every request of one that waits asks for it."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()

    def add(self, batch_id: str) -> bool:
        """Add a batch, and return whether it is new."""
        is_new = batch_id not in self._ids
        self._ids[batch_id] = None
        if len(self._ids) > MAX_FAILED_BATCHES:
            self._ids.popitem(last=False)
        return is_new
