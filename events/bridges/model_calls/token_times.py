"""When the tokens of a stream were seen to come: what a call takes the time to its first token from at its end."""

from __future__ import annotations


class TokenTimes:
    """The times of the first and the last tokens of a stream that were seen to arrive, and the text in between.

    A provider counts reasoning that it does not send. So where the count of reasoning tokens is known, the time between
    tokens is that of the rest; where reasoning was hidden and not counted, it is unknown.
    """

    def __init__(self) -> None:
        self.first_at: float | None = None
        self.hides_reasoning = False
        self._all = _Pieces()
        self._answer = _Pieces()  # without reasoning

    def add(self, now: float, size: int, *, sees_arrival: bool, is_reasoning: bool = False) -> None:
        """Record a piece of ``size`` characters; ``sees_arrival`` is False where it had come before."""
        if self.first_at is None:
            self.first_at = now
        self._all.add(now, size, sees_arrival=sees_arrival)
        if not is_reasoning:
            self._answer.add(now, size, sees_arrival=sees_arrival)

    def seconds_per_token(self, completion_tokens: int | None, reasoning_tokens: int | None) -> float | None:
        """Return the seconds between two tokens, of those that were seen to come; None where that is unknown.

        The tokens of the first piece came at once; those after it have the share of all that their text has.
        """
        if not completion_tokens or (self.hides_reasoning and not reasoning_tokens):
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
