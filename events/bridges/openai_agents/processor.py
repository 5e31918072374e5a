"""The processor of traces that the SDK calls as each span starts and ends, in the code that does the work."""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import RLock
from typing import Any, Protocol

from ...agents import agent_finished, agent_started
from ...bus.after_fork import free_after_fork
from ...bus.failures import report_failure
from ...bus.signal import Signal
from ...guardrails import guardrail_checked
from ...llm import llm_called
from ...tools import tool_called
from ..model_calls import model_call
from ..model_calls.cost import UsagePriceFunction
from .agent_spans import AgentSpan
from .guardrail_spans import GuardrailSpan
from .model_spans import BRIDGE, ModelSpan
from .span_errors import error_now
from .tool_spans import ToolSpan

MAX_OPEN_SPANS = 10_000
"""Spans that have not ended: one that never does, such as that of a generator that nobody closes, is dropped later."""

SIGNALS: tuple[Signal[..., Any], ...] = (agent_started, agent_finished, tool_called, guardrail_checked)


class OpenSpan(Protocol):
    """A span while it is open."""

    def end(self, span: Any, error: BaseException | None) -> None:
        """Emit its end."""

    def drop(self) -> None:
        """Emit its end, which is not known."""


class EventProcessor:
    """A ``TracingProcessor`` of the SDK, whose methods it has; a span that it gets twice counts once."""

    def __init__(self, price: UsagePriceFunction | None, provider: str | None) -> None:
        self.is_active = True
        self._lock = free_after_fork(RLock())  # a generator that the garbage collector closes ends a span anywhere
        self._open: dict[str, tuple[OpenSpan, BaseException | None]] = {}
        self._kinds: dict[str, tuple[str, Callable[[Any], OpenSpan]]] = {
            "agent": (agent_finished.name, AgentSpan),
            "function": (tool_called.name, ToolSpan),
            "guardrail": (guardrail_checked.name, GuardrailSpan),
            "generation": (llm_called.name, lambda span: ModelSpan(span, price, provider)),
            "response": (llm_called.name, lambda span: ModelSpan(span, price, provider)),
        }

    def on_span_start(self, span: Any) -> None:
        """Take the start of a span."""
        kind = self._kinds.get(span.span_data.type)
        if kind is None or not self.is_active or is_idle() or span.span_id in self._open:
            return
        signal, open_span = kind
        self._guard(signal, lambda: self._add(span, open_span))

    def on_span_end(self, span: Any) -> None:
        """Take the end of a span."""
        with self._lock:
            known = self._open.pop(span.span_id, None)
        if known is None:
            return
        opened, handled_before = known
        error = error_now(handled_before)
        self._guard(self._kinds[span.span_data.type][0], lambda: opened.end(span, error))

    def _add(self, span: Any, open_span: Callable[[Any], OpenSpan]) -> None:
        handled_before = sys.exception()
        opened = open_span(span)
        with self._lock:
            self._open[span.span_id] = opened, handled_before
            oldest = self._open.pop(next(iter(self._open))) if len(self._open) > MAX_OPEN_SPANS else None
        if oldest is not None:
            oldest[0].drop()

    def _guard(self, signal: str, emit: Callable[[], None]) -> None:
        try:
            emit()
        except Exception as failure:
            report_failure(signal, BRIDGE, failure)

    def on_trace_start(self, trace: Any) -> None:
        """Take the start of a trace: its spans say all."""

    def on_trace_end(self, trace: Any) -> None:
        """Take the end of a trace."""

    def shutdown(self) -> None:
        """End the processor: it keeps nothing back."""

    def force_flush(self) -> None:
        """Emit what is kept back: nothing is."""


def is_idle() -> bool:
    """Return whether nobody would get an event: no listener, no span around, and no strict block."""
    for signal in SIGNALS:  # a loop, as a generator takes twice the time
        if signal.receivers:
            return False
    return model_call.is_idle()
