"""The spans that are open, each with the one that it is inside, up to a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from time import perf_counter, time_ns
from typing import TYPE_CHECKING, Any
from weakref import ref

from ...bus.after_fork import clear_after_fork
from ...bus.scope import Scope
from ..model_calls.claims import Claim
from ..model_calls.document_retrieval import Lookup
from ..model_calls.guardrail_check import GuardrailCheck
from ..model_calls.tool_use import ToolUse
from .conventions import Operation

if TYPE_CHECKING:
    from .agent_runs import AgentRun
    from .observed_call import ObservedCall

MAX_OPEN_SPANS = 8192
"""Past this many the oldest is dropped: most likely nobody ends it any more."""


NOTHING: Mapping[str, Any] = {}


class OpenSpan:
    """A span that is open, whatever it is of: the way from a call to its agent may pass any others.

    Attributes:
        parent: The span that it is inside, if it is of this process; it may have ended before.
        library: The name of its instrumentation scope.
        operation: What it is of; None where that is not known yet, or is nothing that is counted.
        late_operation: What it is of, as its end says of one that had said nothing.
        said: What its attributes said at its start: a span keeps 128 of them, and drops the oldest.
        live_attributes: Those that it has at any time, also when it is gone.
        scope: The scope of `events` that it is inside, or that it is; None outside of all.
        told_by: The claim of another bridge's call that it is inside.
        call: The call that it is of, alone or with others; `observed_call.ENDED` once that has.
        agent: The run of an agent that it is.
        tool_use: The use of a tool that it is.
        lookup: The lookup that it is.
        check: The check of a guardrail that it is.
        use_around: The use of a tool, of another bridge, that it began in, where it is not known what it is of.
        lookup_around: The lookup that it began in, likewise.
        check_around: The check of a guardrail that it began in, likewise.
        is_repeated: Whether what it is of is told elsewhere: by a span or a block around it.
        reference: Calls back when the span is gone without an end.
        made_ns: When it was made, which may be long after it began: some libraries write their spans at the end.
        totals: Sums of the calls and tools inside, in case it turns out to be an agent's.
        nested_totals: What of them is of agents inside.
    """

    # Defaults of the class: most spans are nothing that is counted, and each attribute that is set takes time.
    operation: Operation | None = None
    late_operation: Operation | None = None
    said: Mapping[str, Any] = NOTHING
    live_attributes: Any = NOTHING
    scope: Scope | None = None
    told_by: Claim | None = None
    call: ObservedCall | None = None
    agent: AgentRun | None = None
    reference: ref[Any] | None = None
    tool_use: ToolUse | None = None
    lookup: Lookup | None = None
    check: GuardrailCheck | None = None
    use_around: ToolUse | None = None
    lookup_around: Lookup | None = None
    check_around: GuardrailCheck | None = None
    is_repeated = False
    is_ended = False
    totals: dict[str, float] | None = None
    nested_totals: dict[str, float] | None = None

    def __init__(
        self, span_id: int, trace_id: int, *, name: str, library: str, started_ns: int, parent: OpenSpan | None
    ) -> None:
        self.span_id = span_id
        self.trace_id = trace_id
        self.name = name
        self.library = library
        self.started_ns = started_ns
        self.made_ns = time_ns()
        self.parent = parent

    def started_at(self) -> float:
        """Return when it started, by `time.perf_counter`."""
        return perf_counter() - (time_ns() - self.started_ns) / 1e9

    def around(self) -> Iterator[OpenSpan]:
        """Yield the spans around it, from the inside."""
        span = self.parent
        while span is not None:
            yield span
            span = span.parent

    def is_inside(self, other: OpenSpan) -> bool:
        """Return whether it is another span, or inside it."""
        return self is other or any(span is other for span in self.around())

    def top_of_library(self) -> OpenSpan:
        """Return the outermost span around it of its own library, itself where there is none."""
        top = self
        for span in self.around():
            if span.library == self.library:
                top = span
        return top


class OpenSpans:
    """The table of open spans, by their ids, the oldest first.

    Attributes:
        get: Returns the open span of an id; None where it is not known.
    """

    def __init__(self, limit: int = MAX_OPEN_SPANS) -> None:
        self.limit = limit
        self._spans: dict[int, OpenSpan] = {}
        # The dictionary's own, since each span of a process passes them.
        self.get: Callable[[int], OpenSpan | None] = self._spans.get
        self._pop = self._spans.pop
        clear_after_fork(self)  # a process that was forked off does not end its parent's spans

    def clear(self) -> None:
        """Forget all spans."""
        self._spans.clear()

    def __len__(self) -> int:
        return len(self._spans)

    def add(self, span: OpenSpan) -> OpenSpan | None:
        """Add a span; return the oldest one, which is dropped for it, where there are too many."""
        self._spans[span.span_id] = span
        if len(self._spans) <= self.limit:
            return None
        try:
            return self._spans.pop(next(iter(self._spans)))
        except (KeyError, StopIteration, RuntimeError):  # another thread was first; the next span drops one more
            return None

    def pop(self, span_id: int) -> OpenSpan | None:
        """Remove a span that ended, and return it; None where it is not known."""
        return self._pop(span_id, None)

    def pop_all(self) -> list[OpenSpan]:
        """Remove all spans, and return them, the innermost first."""
        spans = [span for span_id in list(self._spans) if (span := self._spans.pop(span_id, None)) is not None]
        return spans[::-1]
