"""Spans of calls of models: what they emit, once for all spans of a call; see `spans_of_a_call`."""

from __future__ import annotations

from time import perf_counter, time_ns
from typing import Any

from ...bus.fields import UNKNOWN
from ...bus.scope import get_effective_scope
from ...bus.signal import NO_SCOPE
from ...llm import ModelOperation
from ..model_calls.claims import Claim, current_claim
from ..model_calls.cost import UsagePriceFunction
from ..model_calls.model_call import CallEnd, ModelCall
from ..model_calls.names import label_of
from .agent_runs import add_missed, add_to_unknown, innermost
from .attribute_names import Said, read
from .call_ends import call_end
from .conventions import BRIDGE
from .observed_call import ObservedCall, SpanClaim, is_claim_of
from .open_spans import OpenSpan
from .span_outcomes import DROPPED, SpanOutcome
from .span_reading import is_streamed, provider_in, read_usage, requested_model
from .spans_of_a_call import ObservedCalls


class ModelSpans:
    """The spans of calls of models.

    Args:
        price: Returns the cost of a call's tokens, where no span says it; None for no costs.
    """

    def __init__(self, price: UsagePriceFunction | None) -> None:
        self.calls = ObservedCalls(self)
        self._price = price

    def start(self, opened: OpenSpan, span: Any, said: Said) -> None:  # noqa: ARG002  # as of other spans
        """Begin a call, or note that the span is of one that is under way."""
        model = requested_model(said)
        call = opened.call = self.calls.join(opened, model)
        if call is not None:
            return
        call = opened.call = ObservedCall(model, opened.started_ns, opened, opened.parent)
        told_by = opened.told_by
        if told_by is not None and not told_by.has_ended:
            call.claim = told_by
            return
        claim = SpanClaim.of(call, self, opened.scope)
        if model:
            operation: Any = opened.operation
            call.model_call = self._model_call(claim, opened, operation, model, provider_in(said), perf_counter())
        self.calls.add(call)  # now that it is told as started: another thread may find it, and take it over
        current_claim.set(claim)  # for other bridges inside; nobody resets it, since the span may end anywhere

    def end(self, opened: OpenSpan, span: Any, said: Said, outcome: SpanOutcome, duration: float) -> None:
        """Emit the end of a call with its outermost span; of others note what they say of the answer."""
        usage = read_usage(said, opened.library, opened.started_ns)
        call = opened.call
        if call is None:
            call = self._find_call(opened, requested_model(said) or usage.response_model, span.end_time)
            if call is None:
                return
        if call.outermost is not opened:
            if call.is_under_way:
                call.inner = (*call.inner, usage)
            return
        call.end(span.end_time)
        call.response_model = usage.response_model
        claim = call.claim
        if not isinstance(claim, SpanClaim) or claim.has_ended:
            return
        if claim.is_taken:
            claim.has_ended = True
            return
        streamed = is_streamed(said, span.events)
        model_call = call.model_call
        started_at = opened.started_at() if model_call is None else model_call.started_at
        end = call_end(outcome, usage, call.inner, is_streamed=streamed, ended_at=started_at + duration)
        if model_call is None:
            name = requested_model(said) or call.model or end.response_model or ""
            operation: Any = opened.operation or opened.late_operation
            model_call = self._model_call(claim, opened, operation, name, provider_in(said), started_at)
        elif model_call.provider == UNKNOWN:
            model_call.provider = label_of(provider_in(said))
        model_call.streamed = streamed
        model_call.finish(end)
        call.duration, call.amounts, call.model_call = duration, amounts_of(end), None
        if opened.parent is not None:
            add_to_unknown(opened, call.amounts)

    def drop(self, opened: OpenSpan, duration: float) -> None:  # noqa: ARG002  # as of other spans
        """Emit as cancelled a call whose outermost span nobody ended."""
        call = opened.call
        if call is None or call.outermost is not opened or call.claim is None:
            return
        call.end(time_ns())
        claim = call.claim
        if not isinstance(claim, SpanClaim) or claim.is_taken or claim.has_ended:
            claim.has_ended = claim.has_ended or isinstance(claim, SpanClaim)
            return
        model_call = call.model_call
        if model_call is None:
            said = {**opened.said, **read(opened.live_attributes.copy())}
            operation: Any = opened.operation
            model, provider = requested_model(said), provider_in(said)
            model_call = self._model_call(claim, opened, operation, model, provider, opened.started_at())
        model_call.finish(CallEnd(status=DROPPED.status, error_type=DROPPED.error_type))

    def is_own(self, claim: Claim) -> bool:
        """Return whether a claim is of a call that these spans tell."""
        return is_claim_of(claim, self)

    def find_claim(self, place: OpenSpan | None, model: str) -> Claim | None:
        """Return the claim of a call that spans tell and that another bridge begins to tell at a place."""
        call = self.calls.find_claimable(place, model)
        return None if call is None else call.claim

    def note_call(self, claim: Claim, place: OpenSpan | None, model: str) -> None:
        """Take note of a call that another bridge tells; it is in the agent's run that its place is in."""
        call = ObservedCall("" if model == UNKNOWN else model, time_ns(), None, place)
        call.claim = claim
        self.calls.add(call)
        if place is not None and claim.scope is None:
            claim.scope = innermost(get_effective_scope(), place.scope)

    def _find_call(self, opened: OpenSpan, model: str, ended_ns: int) -> ObservedCall | None:
        """Return the call of a span that said only at its end what it is of: a new one, or one that others see too.

        None is returned where it was told.
        """
        call = self.calls.call_around(opened)
        if call is None and (told := self.calls.take_told(opened, model, ended_ns)) is not None:
            add_missed(opened, told)
            return None
        if call is None:
            call = self.calls.join(opened, model)
        if call is not None:
            return call
        if opened.told_by is not None:  # the call that it began in, though that may have ended before it
            return None
        call = ObservedCall(model, opened.started_ns, opened, opened.parent)
        SpanClaim.of(call, self, opened.scope)
        self.calls.add(call)
        return call

    def _model_call(  # noqa: PLR0917  # its own
        self, claim: Claim, opened: OpenSpan, operation: ModelOperation, model: str, provider: str, started_at: float
    ) -> ModelCall:
        return ModelCall(
            BRIDGE,
            claim,
            model=model,
            provider=provider,
            operation=operation,
            price=self._price,
            started_at=started_at,
            scope=opened.scope or NO_SCOPE,
        )


def amounts_of(end: CallEnd) -> dict[str, float | None]:
    """Return what a call adds to the totals of an agent."""
    usage = end.usage
    return {
        "llm_calls": 1,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cost": end.cost,
    }
