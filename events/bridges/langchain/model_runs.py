"""Runs of models: each is a call, which a bridge to what sends it may take over."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

from ...bus.failures import report_failure
from ...llm import ModelOperation, llm_called
from ..model_calls.claims import Claim, current_claim
from ..model_calls.cost import UsagePriceFunction, billed_cost
from ..model_calls.model_call import CallEnd, start_call
from .model_answer import ModelAnswer, read_answer
from .model_names import model_name, provider_name
from .runs import BRIDGE, Run


class ModelStart(NamedTuple):  # a frozen dataclass takes four times as long to make
    """The start of a run of a model.

    Attributes:
        serialized: The model, as LangChain would store it.
        metadata: The run's metadata, which names the model and its provider.
        params: The parameters that the model is asked with.
        batch_size: How many calls are begun together, before any is sent.
        is_detached: Whether the handler is called in a task of its own, so that the call itself has another context.
    """

    serialized: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None
    params: Mapping[str, Any] | None = None
    operation: ModelOperation = "chat"
    batch_size: int = 1
    is_detached: bool = False


class TextBatches:
    """The batches of texts of which not all runs have begun: they are one call, whose first run has all its tokens."""

    def __init__(self) -> None:
        self._left: dict[int, tuple[Mapping[str, Any], int]] = {}  # by the id of the parameters, which they share

    def includes(self, start: ModelStart) -> bool:
        """Return whether a run that begins is part of the call of another one."""
        params = start.params
        if start.operation != "text_completion" or start.batch_size <= 1 or params is None:
            return False
        _, left = self._left.pop(id(params), (params, start.batch_size))
        if left > 1:
            self._left[id(params)] = params, left - 1  # which has the id be nobody else's
        return left < start.batch_size


@dataclass(slots=True)
class Batch:
    """Calls that are begun together, before any is sent."""

    around: Claim | None
    left: int
    last: Claim | None = None


_latest: ContextVar[Run | None] = ContextVar("events.bridges.langchain.model_run", default=None)
_batch: ContextVar[Batch | None] = ContextVar("events.bridges.langchain.batch", default=None)


def abandoned_call() -> Run | None:
    """Return the run of a call that the running code is inside by its context, and is not; None where there is none.

    So it is after a failure of LangChain's own between the start of a call and its end.
    """
    run, around = _latest.get(), current_claim.get()
    if run is None or run.call is None or run.call.claim is not around or run.call.has_ended:
        return None
    batch = _batch.get()
    if batch is not None and batch.left and batch.last is around:
        return None  # the next one of a batch starts
    return run if run.is_abandoned() else None


def begin_call(run: Run, start: ModelStart, price: UsagePriceFunction | None) -> None:
    """Begin the call of a run, unless a bridge around it tells it."""
    around = current_claim.get()
    batch = None if start.operation == "text_completion" else batch_of(start.batch_size, around)
    if batch is not None:
        around = batch.around
        current_claim.set(around)
    run.claim_around = None if around is None or around.has_ended else around
    metadata = start.metadata or {}
    run.call = start_call(
        BRIDGE,
        model=model_name(metadata, start.params or {}),
        provider=provider_name(metadata, start.serialized),
        is_exact=False,
        operation=start.operation,
        price=price,
        started_at=run.started_at,
        scope=run.scope,
    )
    if run.call is None:
        return
    claim = run.call.claim
    claim.scope = run.scope
    if batch is not None:
        claim.beside, batch.last = batch.last, claim
    current_claim.set(claim)
    _latest.set(run)


def add_content(run: Run, size: int, is_reasoning: bool) -> None:
    """Take so many characters of a stream, maybe none."""
    call = run.call
    if call is None:
        return
    call.streamed = True
    release_claim(run)  # of what has a chunk the request was sent, and its reader may ask another model
    if size:
        call.token_times.add(perf_counter(), size, sees_arrival=True, is_reasoning=is_reasoning)


def end_call(run: Run, response: Any, error: BaseException | None) -> None:
    """End the call of a run with its answer, or with an error and as much of the answer as came."""
    call = run.call
    if call is None:
        return
    release_claim(run)
    try:
        answer = read_answer(response)
        cost = 0.0 if answer.is_from_cache else billed_cost(answer.raw_usage, {})
    except Exception as failure:
        report_failure(llm_called.name, BRIDGE, failure)
        answer, cost = ModelAnswer(), None
    if error is not None:
        end = CallEnd.of_error(error)
    elif call.streamed and answer.is_cut_off:
        end = CallEnd(status="error", error_type="invalid_response")
    else:
        end = CallEnd()
    finish_reason = None if end.status == "cancelled" else answer.finish_reason
    call.finish(end._replace(response_model=answer.model, usage=answer.usage, cost=cost, finish_reason=finish_reason))


def batch_of(size: int, around: Claim | None) -> Batch | None:
    """Return the batch that a call is of, the first one of which begins it; None of a call by itself."""
    if size <= 1:
        return None
    batch = _batch.get()
    if batch is None or batch.left == 0:
        batch = Batch(around, size)
        _batch.set(batch)
    batch.left -= 1
    return batch


def release_claim(run: Run) -> None:
    """Have the running code be outside of a call again, where it is inside."""
    if run.call is not None and current_claim.get() is run.call.claim:
        current_claim.set(run.claim_around)
        _latest.set(None)
