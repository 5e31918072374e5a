"""The span processor: emits what the spans of GenAI libraries tell, whichever of them wrote a span."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from os import urandom
from time import perf_counter, time_ns
from typing import TYPE_CHECKING, Any
from weakref import ref

from ...agents import agent_finished, agent_started
from ...bus.failures import report_failure
from ...bus.fields import UNKNOWN
from ...bus.scope import current_scope, get_effective_scope
from ...bus.signal import NO_SCOPE, Signal
from ...guardrails import guardrail_checked
from ...llm import llm_called
from ...retrieval import documents_retrieved
from ...tools import tool_called
from ..model_calls.claims import Claim, current_claim, observers
from ..model_calls.cost import UsagePriceFunction, check_price
from ..model_calls.guardrail_check import GuardrailCheck, check_under_way
from ..model_calls.lookup import Lookup, lookup_under_way
from ..model_calls.model_call import CallEnd, ModelCall, is_idle
from ..model_calls.names import label_of
from ..model_calls.token_prices import list_price
from ..model_calls.tool_use import ToolUse, is_same_tool, use_under_way
from .agent_runs import AgentRun, add_missed, add_to_unknown, emit_late_run, innermost, nearest_agent
from .call_ends import call_end
from .conventions import INFERENCE, Operation, operation_of
from .observed_calls import ObservedCall, ObservedCalls, SpanClaim
from .open_spans import MAX_OPEN_SPANS, NOTHING, OpenSpan, OpenSpans
from .span_outcomes import SpanOutcome, outcome_of
from .span_reading import (
    Said,
    agent_name,
    data_source,
    document_count,
    guardrail_kind,
    guardrail_name,
    guardrail_outcome,
    is_streamed,
    provider_in,
    read,
    read_usage,
    requested_model,
    tool_name,
)

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
else:
    SpanProcessor = object  # the SDK's has methods that do nothing, and is imported by few who import this

BRIDGE = "opentelemetry bridge"

DROPPED = SpanOutcome(status="cancelled", error_type="cancelled")
"""How a span ended that nobody ended."""

HEARD: tuple[Signal[..., Any], ...] = (
    agent_started,
    agent_finished,
    tool_called,
    documents_retrieved,
    guardrail_checked,
)
"""What spans tell beside calls."""

LATE_NS = 50_000_000
"""A span that starts this long after its start was made afterwards: what it is of has ended, or is under way.

Less may be a pause of the process. Libraries that make spans afterwards say at their end what they are of, anyway.
"""


MADE_OF_EVENTS = "sparklio.traces"
"""The instrumentation scope of spans that were made of events, which must not become events again."""


class GenAISpanProcessor(SpanProcessor):  # type: ignore[misc]  # of a module that is not in every environment
    """A span processor that emits spans of calls of models, uses of tools and runs of agents as events.

    Add it to a provider by ``provider.add_span_processor(GenAISpanProcessor())``, or use `instrument`, which also warns
    of a sampler that drops spans. It looks at every span, since the way from a call to its agent runs through others.

    Args:
        price: Returns the cost of a call's tokens, where no span says it; None for no costs. The list of genai-prices,
            if that is installed, by default.
        ignore: Names of instrumentation scopes whose spans tell nothing, such as one of two that see the same tools.
        server_tools: Whether tools count that this process runs for others, as a server of MCP does.
        max_open_spans: Past so many the oldest is dropped; a call is told as cancelled then.
    """

    def __init__(
        self,
        *,
        price: UsagePriceFunction | None = list_price,
        ignore: Collection[str] = (),
        server_tools: bool = False,
        max_open_spans: int = MAX_OPEN_SPANS,
    ) -> None:
        from opentelemetry.trace import get_current_span  # whoever makes a processor has it

        check_price(price)
        self.is_active = True
        self._price = price
        self._ignored = frozenset((*ignore, MADE_OF_EVENTS))
        self._server_tools = server_tools
        self._spans = OpenSpans(max_open_spans)
        self._calls = ObservedCalls(self)
        self._current_span = get_current_span
        observers.add(self)

    def on_start(self, span: Any, parent_context: Any = None) -> None:  # noqa: ARG002  # the SDK's signature
        """Take note of a span that starts, and emit what starts with it."""
        if not self.is_active or (is_idle() and not is_heard()):
            return
        try:
            self._start(span)
        except Exception as failure:
            report_failure(llm_called.name, BRIDGE, failure)

    def on_end(self, span: Any) -> None:
        """Emit what a span tells, now that it ended."""
        try:
            context = span.context
            opened = None if context is None else self._spans.pop(context.span_id)
            if opened is not None:
                opened.reference = None
                self._end(opened, span)
                opened.said = opened.live_attributes = NOTHING  # its call is remembered, and no message with it
        except Exception as failure:
            report_failure(llm_called.name, BRIDGE, failure)

    def _on_ending(self, span: Any) -> None:
        """Do nothing: a method that the SDK may call of each processor."""

    def shutdown(self) -> None:
        """End what is open as cancelled, and take note of nothing more."""
        self.is_active = False
        observers.discard(self)
        for opened in self._spans.pop_all():
            self._drop(opened)
        self._calls.clear()

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002  # the SDK's signature
        """Return True: events are emitted at once."""
        return True

    def find_claim(self, model: str) -> Claim | None:
        """Return the claim of a call that spans tell and that starts here too, though the context does not say so."""
        try:
            call = self._calls.find_claimable(self._running_span(), model)
            return None if call is None else call.claim
        except Exception as failure:
            report_failure(llm_called.name, BRIDGE, failure)
            return None

    def note_call(self, claim: Claim, model: str) -> None:
        """Take note of a call that another bridge tells; it is in the agent's run that the running span is in."""
        try:
            place = self._running_span()
            call = ObservedCall("" if model == "unknown" else model, time_ns(), None, place)
            call.claim = claim
            self._calls.add(call)
            if place is not None and claim.scope is None:
                claim.scope = innermost(get_effective_scope(), place.scope)
        except Exception as failure:
            report_failure(llm_called.name, BRIDGE, failure)

    def _running_span(self) -> OpenSpan | None:
        return self._spans.get(self._current_span().get_span_context().span_id)

    def _start(self, span: Any) -> None:
        context, parent, scope = span.context, span.parent, span.instrumentation_scope
        around = None if parent is None else self._spans.get(parent.span_id)
        library = "" if scope is None else scope.name
        opened = OpenSpan(
            context.span_id,
            context.trace_id,
            name=span.name,
            library=library,
            started_ns=span.start_time,
            parent=around,
        )
        opened.scope = innermost(get_effective_scope(), None if around is None else around.scope)
        claim = current_claim.get()
        if claim is not None and not claim.has_ended and not self._is_own(claim):
            opened.told_by = claim
        elif around is not None:
            opened.told_by = around.told_by
        dropped = self._spans.add(opened)
        if dropped is not None:
            self._drop(dropped)
        if library in self._ignored:
            return
        attributes = span.attributes
        values = attributes.copy()  # a plain dictionary: the SDK's takes a microsecond for each look-up
        operation = operation_of(opened.name, values, library)
        if operation not in INFERENCE:  # nor is it known of what is not yet known
            opened.use_around, opened.lookup_around = use_under_way(), lookup_under_way()
            opened.check_around = check_under_way()
        if operation is None or (operation in INFERENCE and time_ns() - opened.started_ns > LATE_NS):
            return
        opened.operation = operation
        opened.live_attributes = attributes
        said = opened.said = read(values)
        opened.reference = ref(span, partial(self._forget, context.span_id))
        self._begin(opened, span, said, operation)

    def _begin(self, opened: OpenSpan, span: Any, said: Said, operation: Operation) -> None:
        if operation in INFERENCE:
            self._start_call(opened, said, operation)
        elif operation == "agent":
            self._start_agent(opened, agent_name(said, opened.name))
        elif operation == "tool":
            self._start_tool(opened, tool_name(said, opened.name), span.kind.name)
        elif operation == "retrieval":
            opened.lookup = self._lookup(opened, said, opened.name)
            opened.lookup.enter()  # until it ends, wherever that is
        elif operation == "guardrail":
            opened.check = self._check(opened, said, opened.name)
            opened.check.enter()

    def _is_own(self, claim: Claim) -> bool:
        return isinstance(claim, SpanClaim) and claim.owner is self

    def _start_call(self, opened: OpenSpan, said: Said, operation: Any) -> None:
        model = requested_model(said)
        opened.call = self._calls.join(opened, model)
        if opened.call is not None:
            return
        call = opened.call = ObservedCall(model, opened.started_ns, opened, opened.parent)
        if is_under_way(opened.told_by):
            call.claim = opened.told_by
            return
        self._calls.add(call)
        claim = call.claim = SpanClaim(urandom(16).hex(), self, call)
        claim.scope = opened.scope
        current_claim.set(claim)  # for other bridges inside; nobody resets it, since the span may end anywhere
        if model:
            provider = provider_in(said)
            call.model_call = self._model_call(claim, opened, operation, model, provider, perf_counter())

    def _model_call(  # noqa: PLR0917  # its own
        self, claim: Claim, opened: OpenSpan, operation: Any, model: str, provider: str, started_at: float
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

    def _start_agent(self, opened: OpenSpan, name: str) -> None:
        agent = nearest_agent(opened.scope)
        if agent is not None and agent.fields.get("agent_name") == name:
            opened.is_repeated = True
            return
        opened.agent = AgentRun(name, opened.scope, started_at_of(opened))
        opened.scope = opened.agent.scope
        current_scope.set(opened.scope)  # until the run ends: see `SpanScope`

    def _end(self, opened: OpenSpan, span: Any) -> None:
        opened.is_ended = True
        if opened.library in self._ignored:
            return
        attributes = span.attributes.copy()
        if opened.operation is None:
            operation = operation_of(span.name, attributes, opened.library)
            if operation is None:
                return
        else:
            operation = opened.operation
        said = {**opened.said, **read(attributes)}
        duration = max(0, span.end_time - opened.started_ns) / 1e9
        if operation in INFERENCE:
            self._end_call(opened, span, operation, said, duration)
        elif operation == "tool":
            self._end_tool(opened, span, said, duration)
        elif operation == "retrieval":
            self._end_retrieval(opened, span, said, duration)
        elif operation == "guardrail":
            self._end_check(opened, span, said, duration)
        else:
            self._end_agent(opened, span, said, duration)

    def _end_agent(self, opened: OpenSpan, span: Any, said: Said, duration: float) -> None:
        if opened.agent is not None:
            opened.agent.end(outcome_of(span), duration, {})
        elif not opened.is_repeated:
            name = agent_name(said, span.name)
            agent = nearest_agent(opened.scope)
            if agent is None or agent.fields.get("agent_name") != name:
                emit_late_run(name, opened, outcome_of(span), started_at_of(opened), duration)

    def _end_call(self, opened: OpenSpan, span: Any, operation: Any, said: Said, duration: float) -> None:
        usage = read_usage(said, opened.library, opened.started_ns)
        call, model = opened.call, requested_model(said)
        if call is None:
            call = self._find_call(opened, model or usage.response_model, span.end_time)
            if call is None:
                return
        if call.outermost is not opened:
            if call.is_under_way:
                call.inner.append(usage)
            return
        call.ended_ns, call.response_model = span.end_time, usage.response_model
        claim = call.claim
        if not isinstance(claim, SpanClaim) or claim.has_ended:
            return
        if claim.is_taken:
            claim.has_ended = True
            return
        outcome = outcome_of(span)
        streamed = is_streamed(said, span.events)
        model_call = call.model_call
        started_at = started_at_of(opened) if model_call is None else model_call.started_at
        end = call_end(outcome, usage, call.inner, is_streamed=streamed, ended_at=started_at + duration)
        if model_call is None:
            name = model or call.model or end.response_model or ""
            model_call = self._model_call(claim, opened, operation, name, provider_in(said), started_at)
        elif model_call.provider == UNKNOWN:
            model_call.provider = label_of(provider_in(said))
        model_call.streamed = streamed
        model_call.finish(end)
        call.duration, call.amounts, call.model_call = duration, amounts_of(end), None
        add_to_unknown(opened, call.amounts)

    def _find_call(self, opened: OpenSpan, model: str, ended_ns: int) -> ObservedCall | None:
        """Return the call of a span that said only at its end what it is of: a new one, or one that others see too.

        None is returned where it was told.
        """
        call = self._calls.call_around(opened)
        if call is None and (told := self._calls.take_told(opened, model, ended_ns)) is not None:
            add_missed(opened, told)
            return None
        if call is None:
            call = self._calls.join(opened, model)
        if call is not None:
            return call
        if opened.told_by is not None:  # the call that it began in, though that may have ended before it
            return None
        call = ObservedCall(model, opened.started_ns, opened, opened.parent)
        call.claim = SpanClaim(urandom(16).hex(), self, call)
        call.claim.scope = opened.scope
        self._calls.add(call)
        return call

    def _start_tool(self, opened: OpenSpan, name: str, kind: str) -> None:
        opened.name = name
        opened.is_repeated = is_repeated_tool(opened, name) or (kind == "SERVER" and not self._server_tools)
        if not opened.is_repeated:
            opened.tool_use = self._tool_use(opened, name)
            opened.tool_use.enter()  # until it ends, wherever that is

    def _tool_use(self, opened: OpenSpan, name: str) -> ToolUse:
        return ToolUse(
            BRIDGE,
            name,
            scope=opened.scope or NO_SCOPE,
            started_at=started_at_of(opened),
            around=opened.use_around,
        )

    def _lookup(self, opened: OpenSpan, said: Said, name: str) -> Lookup:
        return Lookup(BRIDGE, data_source(said, name), scope=opened.scope or NO_SCOPE, around=opened.lookup_around)

    def _end_tool(self, opened: OpenSpan, span: Any, said: Said, duration: float) -> None:
        name = tool_name(said, span.name)
        if opened.operation is None:
            opened.is_repeated = is_repeated_tool(opened, name) or (
                span.kind.name == "SERVER" and not self._server_tools
            )
        if opened.is_repeated:
            return
        use = opened.tool_use or self._tool_use(opened, name)
        use.tool_name = label_of(name)
        outcome = outcome_of(span)
        use.finish(outcome.status, outcome.error, duration=duration)
        add_to_unknown(opened, {"tool_calls": 1})

    def _end_retrieval(self, opened: OpenSpan, span: Any, said: Said, duration: float) -> None:
        lookup = opened.lookup or self._lookup(opened, said, span.name)
        lookup.data_source = label_of(data_source(said, span.name))
        outcome = outcome_of(span)
        documents = document_count(span.attributes) if outcome.status == "success" else None
        lookup.finish(outcome.status, outcome.error, documents=documents, duration=duration)

    def _check(self, opened: OpenSpan, said: Said, name: str) -> GuardrailCheck:
        return GuardrailCheck(
            BRIDGE, guardrail_name(said, name), scope=opened.scope or NO_SCOPE, around=opened.check_around
        )

    def _end_check(self, opened: OpenSpan, span: Any, said: Said, duration: float) -> None:
        check = opened.check or self._check(opened, said, span.name)
        check.guardrail, check.kind = label_of(guardrail_name(said, span.name)), guardrail_kind(said)
        outcome = outcome_of(span)
        check.finish(guardrail_outcome(said, outcome.status), outcome.error, duration=duration)

    def _forget(self, span_id: int, _reference: object) -> None:
        """End a span that is gone and that nobody ended, such as that of a call that was cancelled."""
        opened = self._spans.pop(span_id)
        if opened is not None:
            self._drop(opened)

    def _drop(self, opened: OpenSpan) -> None:
        """End a span that nobody ended."""
        opened.is_ended = True
        try:
            duration = (time_ns() - opened.started_ns) / 1e9
            if opened.agent is not None:
                opened.agent.end(DROPPED, duration, {})
            if opened.tool_use is not None:
                opened.tool_use.finish(DROPPED.status, duration=duration)
            if opened.lookup is not None:
                opened.lookup.finish(DROPPED.status, duration=duration)
            if opened.check is not None:
                opened.check.finish("cancelled", duration=duration)
            call = opened.call
            if call is None or call.outermost is not opened or call.claim is None:
                return
            call.ended_ns = time_ns()
            claim = call.claim
            if not isinstance(claim, SpanClaim) or claim.is_taken or claim.has_ended:
                claim.has_ended = claim.has_ended or isinstance(claim, SpanClaim)
                return
            said = {**opened.said, **read(opened.live_attributes.copy())}
            model_call = call.model_call or self._model_call(
                claim, opened, opened.operation, requested_model(said), provider_in(said), started_at_of(opened)
            )
            model_call.finish(CallEnd(status="cancelled", error_type="cancelled"))
        except Exception as failure:
            report_failure(llm_called.name, BRIDGE, failure)


def is_heard() -> bool:
    """Return whether anybody listens to what spans tell beside calls."""
    for signal in HEARD:  # noqa: SIM110  # a loop, as a generator takes twice the time
        if signal.receivers:
            return True
    return False


def amounts_of(end: CallEnd) -> dict[str, float | None]:
    """Return what a call adds to the totals of an agent."""
    usage = end.usage
    tokens = {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
    return {"llm_calls": 1, **tokens, "cost": end.cost}


def is_under_way(claim: Claim | None) -> bool:
    """Return whether there is a claim, and its call has not ended."""
    return claim is not None and not claim.has_ended


def started_at_of(opened: OpenSpan) -> float:
    """Return when a span started, by `time.perf_counter`."""
    return perf_counter() - (time_ns() - opened.started_ns) / 1e9


def is_repeated_tool(opened: OpenSpan, name: str) -> bool:
    """Return whether a span around this one is of the same use of a tool: a client's, around the server's."""
    for around in opened.around():
        if around.operation == "agent":
            return False
        if around.operation == "tool" and is_same_tool(around.name, name):
            return True
    return False
