"""The listener that makes spans of events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Tracer, TracerProvider, get_tracer, set_span_in_context

import events
from events import (
    DocumentsRetrieved,
    HTTPRequestFinished,
    LLMAttempted,
    ToolCalled,
    WorkflowReleased,
    documents_retrieved,
    http_request_finished,
    llm_attempted,
    tool_called,
    workflow_released,
)
from events.bridges.asgi.routes import UNMATCHED
from events.bus.event_classes import is_equivalent
from events.bus.failures import report_failure
from events.bus.scope import Scope, entry_hooks

from .asgi import request_span
from .attributes import ATTEMPTED, REQUEST_FINISHED, RETRIEVED, TOOL_CALLED, Attributes, Fields, attributes_of, name_of
from .open_spans import OpenSpans
from .spans import INSTRUMENTATION_SCOPE, describe, nanoseconds_of
from .traced_work import LLM_CALL, TRACED, WORKFLOW, AnySignal, TracedWork, work_of

NAME = "traces"
"""How a failure names the listener."""

MAX_OPEN = 4096
"""How many spans may be open at once, which is a few MB."""


def trace_events(
    tracer_provider: TracerProvider | None = None,
    *,
    spans: Mapping[events.Span[...], str] | None = None,
    max_open: int = MAX_OPEN,
) -> Tracing:
    """Make spans of events from now on, until the tracing is closed: `Tracing.close`, or the end of a ``with`` block.

    Args:
        tracer_provider: Who makes the spans; by default the process's own, as `opentelemetry.trace` has it.
        spans: Spans of one's own that become spans too, each with the field that names it.
        max_open: How many spans may be open at once; past that the oldest are dropped, whose ends nobody told.
    """
    own = tuple(work_of(span, name) for span, name in (spans or {}).items())
    return Tracing(get_tracer(INSTRUMENTATION_SCOPE, tracer_provider=tracer_provider), (*TRACED, *own), max_open)


class Tracing:
    """The listener: a receiver of the events of all that is traced, and the spans that are open."""

    events_only = True

    def __init__(self, tracer: Tracer, traced: Sequence[TracedWork] = TRACED, max_open: int = MAX_OPEN) -> None:
        self.__qualname__ = NAME
        self._tracer = tracer
        self._open = OpenSpans(max_open, {work.kind: work.key for work in traced})
        handlers: dict[AnySignal, Callable[[Any], object]] = {
            workflow_released: self._release,
            llm_attempted: self._add_attempt,
            tool_called: self._add_tool_call,
            documents_retrieved: self._add_retrieval,
            http_request_finished: end_request,
        }
        for work in traced:
            handlers |= dict.fromkeys(work.started, partial(self._start, work))
            handlers[work.finished] = partial(self._finish, work)
        self._signals = tuple(handlers)
        self._handlers: dict[Any, Callable[[Any], object]] = {
            signal.event: handle for signal, handle in handlers.items()
        }
        entry_hooks.append(self._enter)
        for signal in self._signals:
            signal.connect(self)

    @property
    def open_spans(self) -> int:
        """How many spans have started and not ended."""
        return len(self._open)

    def __call__(self, event: Any) -> None:
        """Start a span, end one, or add one that is over, as the event says."""
        handle = self._handlers.get(type(event)) or self._find_handler(type(event))
        handle(event)

    def _find_handler(self, event_class: type[Any]) -> Callable[[Any], object]:
        """Return what handles the events of a class that was declared again since, with the same fields."""
        handle = next(handle for known, handle in self._handlers.items() if is_equivalent(event_class, known))
        self._handlers = {**self._handlers, event_class: handle}  # replaced, since other threads may read it just now
        return handle

    def close(self) -> None:
        """Make no more spans; those that are open are dropped. Doing it again does nothing."""
        for signal in self._signals:
            signal.disconnect(self)
        if self._enter in entry_hooks:
            entry_hooks.remove(self._enter)
        self._open.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, work: TracedWork, event: Any) -> None:
        key = getattr(event, work.key)
        if not key:
            return  # its end cannot be told from others'
        started_at = self._open.now()
        span = self._start_span(work, event, self._open.parent_context(), started_at)
        self._open.add((work.kind, key), span, started_at)

    def _finish(self, work: TracedWork, event: Any) -> None:
        opened = self._open.pop((work.kind, getattr(event, work.key)))
        if opened is not None:
            span, ended_at = opened.span, opened.now()
        else:  # its start was not seen, or nobody told it
            ended_at = self._open.now()
            duration = nanoseconds_of(event.duration)
            if duration is None:
                return
            # A run that began in another process was not begun by whoever ends it here, such as a request to cancel it.
            parent = Context() if work is WORKFLOW else self._open.parent_context()
            span = self._start_span(work, event, parent, ended_at - duration)
        if span.is_recording():
            span.update_name(work.span_name(event))  # of several models, the one that answered
            error, error_type = getattr(event, "error", ""), getattr(event, "error_type", None)
            describe(span, work.outcome(event), error, error_type, work.finished_attributes(event))
        span.end(ended_at)

    def _start_span(self, work: TracedWork, event: Any, parent: Context, started_at: int) -> Span:
        return self._tracer.start_span(
            work.span_name(event),
            parent,
            work.span_kind,
            work.started_attributes(event),
            start_time=started_at,
        )

    def _release(self, event: WorkflowReleased) -> None:
        opened = self._open.pop((WORKFLOW.kind, event.run_id))
        if opened is not None:
            describe(opened.span, "released", attributes={"sparklio.released": True})
            opened.span.end(opened.now())

    def _add_attempt(self, event: LLMAttempted) -> None:
        call = self._open.get((LLM_CALL.kind, event.call_id))
        parent = self._open.parent_context()
        if call is not None:
            parent = set_span_in_context(call.span, parent)
        # Without an operation: whoever counts the spans of model calls counts the call, and not its attempts.
        attributes = attributes_of(event, ATTEMPTED)
        if event.attempt > 1:
            attributes["http.request.resend_count"] = event.attempt - 1
        now = self._open.now()
        span = self._add(name_of("attempt", event.model), parent, SpanKind.CLIENT, attributes, event.duration, now=now)
        if span is not None:
            describe(span, event.outcome, event.error, event.error_type)
            span.end(now)

    def _add_tool_call(self, event: ToolCalled) -> None:
        self._add_finished("execute_tool", event.tool_name, SpanKind.INTERNAL, TOOL_CALLED, event)

    def _add_retrieval(self, event: DocumentsRetrieved) -> None:
        self._add_finished("retrieval", event.data_source, SpanKind.CLIENT, RETRIEVED, event)

    def _add_finished(self, operation: str, name: str, kind: SpanKind, fields: Fields, event: Any) -> None:
        attributes = {"gen_ai.operation.name": operation} | attributes_of(event, fields)
        parent = self._open.parent_context()
        now = self._open.now()
        span = self._add(name_of(operation, name), parent, kind, attributes, event.duration, now=now)
        if span is not None:
            describe(span, event.status, event.error)
            span.end(now)

    def _add(
        self, name: str, parent: Context, kind: SpanKind, attributes: Attributes, duration: float | None, *, now: int
    ) -> Span | None:
        """Return a span that is to end ``now``; None where it is not known when it started."""
        nanoseconds = nanoseconds_of(duration)
        if nanoseconds is None:
            return None
        return self._tracer.start_span(name, parent, kind, attributes, start_time=now - nanoseconds)

    def _enter(self, scope: Scope) -> Callable[[], object] | None:
        try:
            return self._open.enter(scope)
        except Exception as error:
            report_failure(f"{scope.kind}_started", NAME, error)
            return None


def end_request(event: HTTPRequestFinished) -> None:
    """Describe and end the span of a request that is answered, if a `TraceContextMiddleware` has started one."""
    span = request_span.get()
    if span is None or not span.is_recording():
        return
    method = "HTTP" if event.method == "other" else event.method
    if event.endpoint != UNMATCHED:
        span.update_name(f"{method} {event.endpoint}")
    # Of an answer that says no more than its code, that is the type of the error.
    code = str(event.status_code) if event.outcome == "server_error" and not event.error else None
    describe(span, event.outcome, event.error, code, attributes_of(event, REQUEST_FINISHED))
    span.end()
