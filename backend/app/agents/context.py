"""The size of a prompt's context, and whether all of it reached the model: `context_built` and `context_truncated`."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic_ai.exceptions import ModelContextWindowExceededError
from pydantic_ai.usage import RequestUsage

from events import context_built, context_truncated

MIN_TOKENS_TO_JUDGE = 256  # in shorter prompts, the tokens that a chat format adds or omits hide a truncation


def estimate_tokens(text: str) -> int:
    """Return an estimate of the tokens of a text: one for four ASCII characters, one for 1.5 others.

    A Hangul syllable is about one token, by the tokenizers of today's models.
    """
    ascii_count = sum(map(str.isascii, text))
    return round(ascii_count / 4 + (len(text) - ascii_count) / 1.5)


def truncated_silently(estimated: int, counted: int | None) -> bool:
    """Return whether a provider has counted less than half of a cautious estimate, so that it read only a part.

    Ollama drops the front of a prompt that is longer than its context window and answers as if nothing had happened.
    It counts what is left, a little over half of the window. Neither its answer nor its status shows it.
    """
    return counted is not None and estimated >= MIN_TOKENS_TO_JUDGE and 0 < counted < estimated / 2


@dataclass
class PromptContext:
    """The context of one execution. Its events are emitted once, when the first call ends: then its tokens are known.

    ``size`` and ``dropped`` are bytes, ``estimated_tokens`` and ``window`` are tokens.
    """

    size: int
    estimated_tokens: int
    dropped: int = 0
    window: int | None = None
    emitted: bool = False

    def emit_once(self, usage: RequestUsage | None, error: BaseException | None = None) -> None:
        """Emit the context's events from the first call's usage or error; later calls hold more than the context."""
        if self.emitted:
            return
        self.emitted = True
        counted = usage.input_tokens if usage is not None and usage.input_tokens > 0 else None
        silent = truncated_silently(self.estimated_tokens, counted)
        tokens = self.estimated_tokens if counted is None or silent else counted
        wanted_tokens = tokens * (self.size + self.dropped) / self.size if self.size else 0.0
        context_built.emit(
            size=self.size,
            tokens=tokens,
            window=self.window,
            utilization=wanted_tokens / self.window if self.window else None,
        )
        if self.dropped:
            context_truncated.emit(reason="app_trim", dropped=self.dropped)
        if silent:
            context_truncated.emit(reason="provider_silent")  # it does not say how many bytes
        elif isinstance(error, ModelContextWindowExceededError):
            context_truncated.emit(reason="rejected", dropped=self.size)
