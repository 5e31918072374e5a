"""The answer of Responses, whose stream is one of typed events.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from typing import Any

from ...bus.fields import ErrorType
from ...llm import FinishReason
from .error_types import error_type_of_code
from .finish_reasons import finish_reason_of
from .token_usage import TokenUsage, get, getter_of, openai_usage

ENDS = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
REASONING = ("response.reasoning_text.delta", "response.reasoning_summary_text.delta")


class ResponseAnswer:
    """The answer of a response: each of some events of its stream has all that is known of it."""

    model: str | None = None
    finish_reason: FinishReason | None = None
    error_type: ErrorType | None = None
    has_ended = False
    _usage: Any = None

    def add_whole(self, body: Any) -> None:
        """Add an answer that came as a whole: an object of the SDK, or a mapping."""
        look_up = getter_of(body)
        self.has_ended = True
        self.model = look_up("model") or self.model
        self._usage = look_up("usage") or self._usage
        status = look_up("status")
        if status == "failed":
            self.finish_reason = "error"
            self.error_type = error_type_of_code(get(look_up("error"), "code")) or "other"
        elif status == "cancelled":
            self.error_type = "cancelled"
        elif status == "incomplete":
            self.finish_reason = finish_reason_of(get(look_up("incomplete_details"), "reason") or status)
        elif status == "completed":
            kinds = [str(get(item, "type")) for item in look_up("output") or ()]
            calls = any(kind.endswith("_call") and kind.startswith(("function", "custom_tool")) for kind in kinds)
            self.finish_reason = "tool_calls" if calls else "stop"

    def add_chunk(self, chunk: Any) -> tuple[int, bool]:
        """Add an event of a stream; return how many characters of content it has, and whether that is reasoning."""
        look_up = getter_of(chunk)
        kind = look_up("type")
        kind = str(getattr(kind, "value", kind) or "")  # LiteLLM has an enumeration of them
        response = look_up("response")
        if response is not None:
            self.model = get(response, "model") or self.model
            if kind in ENDS:
                self.add_whole(response)
        elif kind == "error":
            self.has_ended, self.finish_reason = True, "error"
            self.error_type = error_type_of_code(look_up("code")) or "other"
        if not kind.endswith(".delta"):
            return 0, False
        delta = look_up("delta")
        return (len(delta) if isinstance(delta, str) else 0), kind in REASONING

    def usage(self) -> TokenUsage:
        """Return the tokens that the provider has counted so far."""
        return openai_usage(self._usage)

    def raw_usage(self) -> Any:
        """Return the usage as the provider sent it; None where it sent none."""
        return self._usage
