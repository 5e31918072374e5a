"""The span of a guardrail: its check of an agent's input or output."""

from __future__ import annotations

from asyncio import CancelledError
from typing import Any

from ..model_calls.guardrail_check import GuardrailCheck
from .sdk_internals import guarded_kind
from .span_errors import has_error


class GuardrailSpan:
    """The check of a guardrail, from the start of its span to the end; guardrails of tools have no span."""

    def __init__(self, span: Any) -> None:
        self._check = GuardrailCheck("openai_agents", span.span_data.name, guarded_kind())
        self._check.enter()

    def end(self, span: Any, error: BaseException | None) -> None:
        """Emit the check; the SDK lets nothing pass a guardrail that fails itself."""
        if isinstance(error, CancelledError):
            self._check.finish("cancelled")
        elif error is not None:
            self._check.finish("error", type(error).__name__)
        elif has_error(span):
            self._check.finish("error")
        else:
            self._check.finish("triggered" if span.span_data.triggered else "passed")

    def drop(self) -> None:
        """End a check whose span never ended."""
        self._check.finish("cancelled")
