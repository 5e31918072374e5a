"""The span processor: emits what the spans of GenAI libraries tell, whichever of them wrote a span."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from time import time_ns
from typing import TYPE_CHECKING, Any, Protocol
from weakref import ref

from ...agents import agent_finished, agent_started
from ...bus.failures import report_failure
from ...bus.scope import current_scope
from ...bus.signal import Signal
from ...guardrails import guardrail_checked
from ...llm import llm_called
from ...retrieval import documents_retrieved
from ...tools import tool_called
from ..model_calls.claims import Claim, current_claim, observers
from ..model_calls.cost import UsagePriceFunction, check_price
from ..model_calls.document_retrieval import current_lookup, lookup_under_way
from ..model_calls.guardrail_check import check_under_way, current_check
from ..model_calls.model_call import is_idle
from ..model_calls.token_prices import list_price
from ..model_calls.tool_use import current_tool_use, use_under_way
from .agent_runs import innermost
from .attribute_names import Said, read
from .conventions import BRIDGE, INFERENCE, Operation, operation_of
from .open_spans import MAX_OPEN_SPANS, NOTHING, OpenSpan, OpenSpans
from .span_outcomes import SpanOutcome, outcome_of
from .spans_of_agents import AgentSpans
from .spans_of_guardrails import GuardrailSpans
from .spans_of_models import ModelSpans
from .spans_of_retrievals import RetrievalSpans
from .spans_of_tools import ToolSpans

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
else:
    SpanProcessor = object  # the SDK's has methods that do nothing, and is imported by few who import this

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


class CountedSpans(Protocol):
    """The spans of an operation: what they emit."""

    def start(self, opened: OpenSpan, span: Any, said: Said) -> None:
        """Begin what a span is of, whose attributes say so at its start."""

    def end(self, opened: OpenSpan, span: Any, said: Said, outcome: SpanOutcome, duration: float) -> None:
        """Emit what a span was of, which took so many seconds."""

    def drop(self, opened: OpenSpan, duration: float) -> None:
        """Emit as cancelled what a span was of that nobody ended, after so many seconds."""


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
        self._ignored = frozenset((*ignore, MADE_OF_EVENTS))
        self._spans = OpenSpans(max_open_spans)
        self._calls = ModelSpans(price)
        self._spans_of: Mapping[Operation, CountedSpans] = {
            **dict.fromkeys(INFERENCE, self._calls),
            "tool": ToolSpans(of_servers=server_tools),
            "agent": AgentSpans(),
            "retrieval": RetrievalSpans(),
            "guardrail": GuardrailSpans(),
        }
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
                opened.is_ended = True
                self._end(opened, span)
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
        self._calls.calls.clear()

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002  # the SDK's signature
        """Return True: events are emitted at once."""
        return True

    def find_claim(self, model: str) -> Claim | None:
        """Return the claim of a call that spans tell and that starts here too, though the context does not say so."""
        try:
            return self._calls.find_claim(self._running_span(), model)
        except Exception as failure:
            report_failure(llm_called.name, BRIDGE, failure)
            return None

    def note_call(self, claim: Claim, model: str) -> None:
        """Take note of a call that another bridge tells; it is in the agent's run that the running span is in."""
        try:
            self._calls.note_call(claim, self._running_span(), model)
        except Exception as failure:
            report_failure(llm_called.name, BRIDGE, failure)

    def _running_span(self) -> OpenSpan | None:
        return self._spans.get(self._current_span().get_span_context().span_id)

    def _start(self, span: Any) -> None:
        context, parent, instrumentation = span.context, span.parent, span.instrumentation_scope
        span_id, name = context.span_id, span.name
        library = "" if instrumentation is None else instrumentation.name
        around = None if parent is None else self._spans.get(parent.span_id)
        opened = OpenSpan(
            span_id, context.trace_id, name=name, library=library, started_ns=span.start_time, parent=around
        )
        # Most spans are nothing that is counted: of them is set what is not the default, and no more.
        scope = current_scope.get()
        if scope is not None and scope.in_generator:
            scope = scope.effective()
        if around is not None and around.scope is not scope:
            scope = innermost(scope, around.scope)
        if scope is not None:
            opened.scope = scope
        claim = current_claim.get()
        if claim is not None and claim.ended_at is None and not self._calls.is_own(claim):
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
        operation = operation_of(name, values, library)
        if operation is None:
            note_surroundings(opened)
        elif operation not in INFERENCE or opened.made_ns - opened.started_ns <= LATE_NS:
            opened.operation = operation
            opened.live_attributes = attributes
            opened.reference = ref(span, partial(self._forget, span_id))
            said = opened.said = read(values)
            self._spans_of[operation].start(opened, span, said)

    def _end(self, opened: OpenSpan, span: Any) -> None:
        library, operation = opened.library, opened.operation
        if library in self._ignored:
            return
        attributes = span.attributes.copy()
        if operation is None:
            operation = opened.late_operation = operation_of(span.name, attributes, library)
            if operation is None:
                return
            said = read(attributes)
        else:
            said = {**opened.said, **read(attributes)}
            opened.reference = None
            opened.said = opened.live_attributes = NOTHING  # its call is remembered, and no message with it
        outcome = outcome_of(span, attributes)
        duration = max(0, span.end_time - opened.started_ns) / 1e9
        self._spans_of[operation].end(opened, span, said, outcome, duration)

    def _forget(self, span_id: int, _reference: object) -> None:
        """End a span that is gone and that nobody ended, such as that of a call that was cancelled."""
        opened = self._spans.pop(span_id)
        if opened is not None:
            self._drop(opened)

    def _drop(self, opened: OpenSpan) -> None:
        """End a span that nobody ended."""
        opened.is_ended = True
        if opened.operation is None:
            return
        try:
            self._spans_of[opened.operation].drop(opened, (time_ns() - opened.started_ns) / 1e9)
        except Exception as failure:
            report_failure(llm_called.name, BRIDGE, failure)


def is_heard() -> bool:
    """Return whether anybody listens to what spans tell beside calls."""
    for signal in HEARD:  # noqa: SIM110  # a loop, as a generator takes twice the time
        if signal.receivers:
            return True
    return False


def note_surroundings(opened: OpenSpan) -> None:
    """Take note of what a span begins in, which may turn out to be the same as it is of."""
    if current_tool_use.get() is not None:
        opened.use_around = use_under_way()
    if current_lookup.get() is not None:
        opened.lookup_around = lookup_under_way()
    if current_check.get() is not None:
        opened.check_around = check_under_way()
