"""What of a context was sent to a model, and whether it arrived: told as `context_built` and `context_truncated`."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic_ai.exceptions import ModelContextWindowExceededError
from pydantic_ai.usage import RequestUsage

from events import context_built, context_truncated

MIN_TOKENS_TO_JUDGE = 256  # tokens; below, what the chat format adds or leaves out weighs too much to judge by


def estimate(text: str) -> int:
    """Guess the tokens of a text: four ASCII characters to one, or one and a half others (Hangul, today's models)."""
    plain = sum(map(str.isascii, text))
    return round(plain / 4 + (len(text) - plain) / 1.5)


def truncated_silently(guess: int, counted: int | None) -> bool:
    """Tell whether a provider answered for less than it was sent: it counted under half of a cautious guess.

    Ollama drops the front of a prompt that is longer than its window and answers as if nothing were; it counts what is
    left, a little over half of the window. Neither its answer nor its status shows it.
    """
    return counted is not None and guess >= MIN_TOKENS_TO_JUDGE and 0 < counted < guess / 2


@dataclass
class Context:
    """One execution's context. It is told when the first call that was sent it ends: then the model has counted it."""

    size: int
    guess: int
    dropped: int = 0
    window: int | None = None
    told: bool = False

    def answered(self, usage: RequestUsage | None, error: BaseException | None = None) -> None:
        """Tell what was sent, by the first call's usage or its failure; later calls carry more than the context."""
        if self.told:
            return
        self.told = True
        counted = usage.input_tokens if usage is not None and usage.input_tokens > 0 else None
        silent = truncated_silently(self.guess, counted)
        tokens = self.guess if counted is None or silent else counted
        wanted = tokens * (self.size + self.dropped) / self.size if self.size else 0.0
        context_built.emit(
            size=self.size,
            tokens=tokens,
            window=self.window,
            utilization=wanted / self.window if self.window else None,
        )
        if self.dropped:
            context_truncated.emit(reason="app_trim", dropped=self.dropped)
        if silent:
            context_truncated.emit(reason="provider_silent")  # how many bytes, it does not say
        elif isinstance(error, ModelContextWindowExceededError):
            context_truncated.emit(reason="rejected", dropped=self.size)
