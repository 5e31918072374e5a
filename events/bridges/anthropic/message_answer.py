"""The answer of a message, whose stream is one of typed events.

Sources: https://platform.claude.com/docs/en/build-with-claude/streaming (tokens of ``message_delta`` are cumulative),
https://platform.claude.com/docs/en/api/messages (``input_tokens`` are without cached ones)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...bus.fields import ErrorType
from ...llm import FinishReason
from ..model_calls.finish_reasons import finish_reason_of
from ..model_calls.token_usage import (
    REASONING_DETAILS,
    TokenUsage,
    add_details,
    as_mapping,
    counted_usage,
    get,
    getter_of,
    is_count,
    sum_of_counts,
)

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
        look_up = getter_of(body)
        self._add(look_up)
        self._end(look_up("stop_reason") or "")

    def add_chunk(self, chunk: Any) -> tuple[int, bool]:
        """Add an event of a stream; return how many characters of content it has, and whether that is reasoning."""
        look_up = getter_of(chunk)
        kind = look_up("type")
        if kind == "message_start":
            self._add(getter_of(look_up("message")))
        elif kind == "message_delta":
            self._add(look_up)
            self._end(get(look_up("delta"), "stop_reason"))
        elif kind == "message_stop":
            self.has_ended = True
        elif kind == "completion":  # of Text Completions
            self._add(look_up)
            self._end(look_up("stop_reason"))
        return content_of(kind, look_up)

    def usage(self) -> TokenUsage:
        """Return the tokens that the provider has counted so far."""
        return anthropic_usage(self._usage)

    def raw_usage(self) -> Mapping[str, Any] | None:
        """Return the usage as the provider sent it; None where it sent none."""
        return self._usage or None

    def _add(self, look_up: Callable[[str], Any]) -> None:
        self.model = look_up("model") or self.model
        count_of = getter_of(look_up("usage"))
        self._usage |= {name: count for name in COUNTS if (count := count_of(name)) is not None}

    def _end(self, reason: Any) -> None:
        if reason is not None:
            self.has_ended, self.finish_reason = True, finish_reason_of(reason)


def content_of(kind: Any, look_up: Callable[[str], Any]) -> tuple[int, bool]:
    """Return how many characters of content an event of a stream has, and whether that is reasoning."""
    if kind == "content_block_delta":
        part_of = getter_of(look_up("delta"))
        for part, is_reasoning in DELTAS:
            if isinstance(text := part_of(part), str) and text:
                return len(text), is_reasoning
    if kind == "content_block_start":
        return len(str(get(look_up("content_block"), "name") or "")), False  # a tool's
    return (len(str(look_up("completion") or "")), False) if kind == "completion" else (0, False)


def anthropic_usage(usage: Any) -> TokenUsage:
    """Return the tokens in the usage of a message: its ``input_tokens`` are those that were not cached.

    Args:
        usage: A mapping, or an object of the SDK; None where the answer has no usage.
    """
    usage = as_mapping(usage)
    uncached, completion = usage.get("input_tokens"), usage.get("output_tokens")
    out = usage.get("output_tokens_details")
    details: dict[str, Any] = {
        "cache_read_tokens": usage.get("cache_read_input_tokens"),
        "cache_write_tokens": usage.get("cache_creation_input_tokens"),
    }
    if is_count(uncached) and uncached >= 0:
        uncached += sum_of_counts(details.values())
    if out is not None:
        add_details(details, out, REASONING_DETAILS)
    return counted_usage(uncached, completion, **details)
