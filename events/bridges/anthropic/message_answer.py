"""The answer of a message, whose stream is one of typed events.

Source: https://platform.claude.com/docs/en/build-with-claude/streaming (tokens of ``message_delta`` are cumulative)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...bus.fields import ErrorType
from ...llm import FinishReason
from ..model_calls.finish_reasons import finish_reason_of
from ..model_calls.token_usage import TokenUsage, anthropic_usage, get

COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "output_tokens_details",
)
DELTAS = (("text", False), ("partial_json", False), ("thinking", True))
"""The parts of a delta with content, and whether it is reasoning."""


class MessageAnswer:
    """The answer of a message: the first event of its stream has the prompt's tokens, a late one the answer's."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.finish_reason: FinishReason | None = None
        self.error_type: ErrorType | None = None
        self.has_ended = False
        self._usage: dict[str, Any] = {}

    def add_whole(self, body: Any) -> None:
        """Add an answer that came as a whole: an object of the SDK, or a mapping."""
        self.has_ended = True
        self._add(body)
        self._end(get(body, "stop_reason") or "")

    def add_chunk(self, chunk: Any) -> tuple[int, bool]:
        """Add an event of a stream; return how many characters of content it has, and whether that is reasoning."""
        kind = get(chunk, "type")
        if kind == "message_start":
            self._add(get(chunk, "message"))
        elif kind == "message_delta":
            self._add(chunk)
            self._end(get(get(chunk, "delta"), "stop_reason"))
        elif kind == "message_stop":
            self.has_ended = True
        elif kind == "completion":  # of Text Completions
            self._add(chunk)
            self._end(get(chunk, "stop_reason"))
        return content_of(kind, chunk)

    def usage(self) -> TokenUsage:
        """Return the tokens that the provider has counted so far."""
        return anthropic_usage(self._usage)

    def raw_usage(self) -> Mapping[str, Any] | None:
        """Return the usage as the provider sent it; None where it sent none."""
        return self._usage or None

    def _add(self, body: Any) -> None:
        self.model = get(body, "model") or self.model
        usage = get(body, "usage")
        self._usage |= {name: count for name in COUNTS if (count := get(usage, name)) is not None}

    def _end(self, reason: Any) -> None:
        if reason is not None:
            self.has_ended, self.finish_reason = True, finish_reason_of(reason)


def content_of(kind: Any, event: Any) -> tuple[int, bool]:
    """Return how many characters of content an event of a stream has, and whether that is reasoning."""
    if kind == "content_block_delta":
        delta = get(event, "delta")
        for part, is_reasoning in DELTAS:
            if isinstance(text := get(delta, part), str) and text:
                return len(text), is_reasoning
    if kind == "content_block_start":
        return len(str(get(get(event, "content_block"), "name") or "")), False  # a tool's
    return (len(str(get(event, "completion") or "")), False) if kind == "completion" else (0, False)
