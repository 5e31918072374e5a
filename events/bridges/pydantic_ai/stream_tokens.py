"""Which events of pydantic-ai's streams are tokens, and how much text they have."""

from __future__ import annotations

from typing import Any

from ..model_calls.token_times import TokenTimes


def record_tokens(times: TokenTimes, event: Any, now: float, *, sees_arrival: bool) -> None:
    """Record an event of a stream; ``sees_arrival`` is False where it had come before its reader asked for it."""
    part = getattr(event, "part", None)
    kind = getattr(part, "part_kind", None) or getattr(getattr(event, "delta", None), "part_delta_kind", "")
    if kind == "thinking" and getattr(event, "event_kind", "") == "part_end" and not getattr(part, "content", None):
        times.hides_reasoning = True
    if is_token(event):
        times.add(now, token_size(event), sees_arrival=sees_arrival, is_reasoning=kind == "thinking")


def is_token(event: Any) -> bool:
    """Return whether a stream's event has content in it, and does not only mark the start or end of a part."""
    part = getattr(event, "part", None)
    if part is None:
        return hasattr(event, "delta")
    if getattr(event, "event_kind", "") == "part_end":
        return False
    return bool(getattr(part, "content", None) or getattr(part, "args", None) or getattr(part, "tool_name", None))


def token_size(event: Any) -> int:
    """Return how many characters an event of a stream brought, at least 1."""
    piece = getattr(event, "part", None) or getattr(event, "delta", None)
    texts = (getattr(piece, name, None) for name in ("content", "content_delta", "args", "args_delta"))
    return max(1, sum(len(text) if isinstance(text, str) else len(str(text or "")) for text in texts))
