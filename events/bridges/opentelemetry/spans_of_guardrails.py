"""Spans of checks of guardrails, and what they emit."""

from __future__ import annotations

from typing import Any

from ...bus.signal import NO_SCOPE
from ..model_calls.guardrail_check import GuardrailCheck
from ..model_calls.names import label_of
from .attribute_names import Said
from .conventions import BRIDGE
from .open_spans import OpenSpan
from .span_outcomes import SpanOutcome
from .span_reading import guardrail_kind, guardrail_name, guardrail_outcome


class GuardrailSpans:
    """The spans of checks of guardrails."""

    def start(self, opened: OpenSpan, span: Any, said: Said) -> None:  # noqa: ARG002  # as of other spans
        """Begin a check."""
        check = opened.check = _check(opened, guardrail_name(said, opened.name))
        check.enter()  # until it ends, wherever that is

    def end(self, opened: OpenSpan, span: Any, said: Said, outcome: SpanOutcome, duration: float) -> None:
        """Emit a check that ended."""
        name = guardrail_name(said, span.name)
        check = opened.check or _check(opened, name)
        check.guardrail, check.kind = label_of(name), guardrail_kind(said)
        check.finish(guardrail_outcome(said, outcome.status), outcome.error, duration=duration)

    def drop(self, opened: OpenSpan, duration: float) -> None:
        """Emit a check that nobody ended."""
        if opened.check is not None:
            opened.check.finish("cancelled", duration=duration)


def _check(opened: OpenSpan, name: str) -> GuardrailCheck:
    return GuardrailCheck(BRIDGE, name, scope=opened.scope or NO_SCOPE, around=opened.check_around)
