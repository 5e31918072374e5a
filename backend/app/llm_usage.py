"""The usage of language models: calls, tokens and cost, as agents count it, steps store it and runs sum it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import fsum


@dataclass(slots=True)
class LLMUsage:
    """The number of model calls, their tokens, and their cost in USD."""

    llm_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    """The cost of the calls whose price is known; None when no call has a known price."""

    @property
    def total_tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    @classmethod
    def total(cls, usages: Iterable[LLMUsage]) -> LLMUsage:
        """Return the sum of several usages; its cost is None when all of theirs are."""
        parts = list(usages)
        costs = [part.cost for part in parts if part.cost is not None]
        return cls(
            sum(part.llm_calls for part in parts),
            sum(part.prompt_tokens for part in parts),
            sum(part.completion_tokens for part in parts),
            fsum(costs) if costs else None,
        )
