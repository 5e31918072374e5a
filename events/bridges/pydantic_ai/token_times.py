"""When the tokens of a stream were seen to come."""

from __future__ import annotations

from typing import Any


class TokenTimes:
    """The times of the first and the last tokens of a stream that were seen to arrive, and the text in between.

    A provider counts reasoning that it does not send. So where the count of reasoning tokens is known, the time between
    tokens is that of the rest; where reasoning was hidden and not counted, it is unknown.
    """

    def __init__(self) -> None:
        self.first_at: float | None = None
        self._hides_reasoning = False
        self._all = _Pieces()
        self._answer = _Pieces()  # without reasoning

    def record(self, event: Any, now: float, *, sees_arrival: bool) -> None:
        """Record an event of a stream; ``sees_arrival`` is False where it had come before its reader asked for it."""
        part = getattr(event, "part", None)
        kind = getattr(part, "part_kind", None) or getattr(getattr(event, "delta", None), "part_delta_kind", "")
        if kind == "thinking" and getattr(event, "event_kind", "") == "part_end" and not getattr(part, "content", None):
            self._hides_reasoning = True
        if not is_token(event):
            return
        if self.first_at is None:
            self.first_at = now
        size = token_size(event)
        self._all.add(now, size, sees_arrival=sees_arrival)
        if kind != "thinking":
            self._answer.add(now, size, sees_arrival=sees_arrival)

    def seconds_per_token(self, completion_tokens: int | None, reasoning_tokens: int | None) -> float | None:
        """Return the seconds between two tokens, of those that were seen to come; None where that is unknown.

        The tokens of the first piece came at once; those after it have the share of all that their text has.
        """
        if not completion_tokens or (self._hides_reasoning and not reasoning_tokens):
            return None
        pieces = self._answer if reasoning_tokens else self._all
        return pieces.seconds_per_token(completion_tokens - (reasoning_tokens or 0))


class _Pieces:
    """Pieces of text, by when they were seen to arrive: the first one and the last one."""

    def __init__(self) -> None:
        self._first_at: float | None = None
        self._last_at = 0.0
        self._size = self._first_size = self._last_size = 0  # of all, up to the first one, up to the last one

    def add(self, now: float, size: int, *, sees_arrival: bool) -> None:
        self._size += size
        if not sees_arrival:
            return
        if self._first_at is None:
            self._first_at, self._first_size = now, self._size
        self._last_at, self._last_size = now, self._size

    def seconds_per_token(self, tokens: int) -> float | None:
        if self._first_at is None:
            return None
        later = tokens * (self._last_size - self._first_size) / self._size
        elapsed = self._last_at - self._first_at
        return elapsed / later if later > 0 and elapsed > 0 else None


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
