"""How much content a piece of a stream has, in characters: what comes before the first content is no token."""

from __future__ import annotations

from typing import Any

TEXTS = ("text", "refusal", "partial_json", "args", "arguments", "input")
REASONING_TEXTS = ("reasoning", "thinking", "reasoning_content")


def size_of_chunk(token: Any, chunk: Any) -> tuple[int, bool]:
    """Return how many characters of content a chunk has, and whether that is reasoning.

    Args:
        token: The content as a handler gets it: a text, or a list of blocks.
        chunk: The chunk, with a message where a chat model streams; None of some models.
    """
    message = getattr(chunk, "message", None)
    content = token if message is None else message.content
    text, reasoning = _sizes(content)
    for call in getattr(message, "tool_call_chunks", None) or ():
        text += _length(call.get("name")) + _length(call.get("args"))
    more = getattr(message, "additional_kwargs", None)
    if isinstance(more, dict):
        reasoning += _length(more.get("reasoning_content"))
    return text or reasoning, not text and reasoning > 0


def size_of_event(event: Any) -> tuple[int, bool]:
    """Return the same of an event of ``stream_events(version="v3")``."""
    delta = event.get("delta") if isinstance(event, dict) else None
    if not isinstance(delta, dict):
        return 0, False
    text, reasoning = _sizes([delta, delta.get("fields")])
    return text or reasoning, not text and reasoning > 0


def _sizes(content: Any) -> tuple[int, int]:
    if isinstance(content, str):
        return len(content), 0
    text = reasoning = 0
    for block in content if isinstance(content, list) else ():
        if isinstance(block, str):
            text += len(block)
        elif isinstance(block, dict):
            text += sum(_length(block.get(name)) for name in TEXTS)
            reasoning += sum(_length(block.get(name)) for name in REASONING_TEXTS)
            for part in block.get("summary") or ():
                reasoning += _length(part.get("text")) if isinstance(part, dict) else 0
    return text, reasoning


def _length(text: Any) -> int:
    return len(text) if isinstance(text, str) else 0
