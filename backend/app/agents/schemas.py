"""What goes into an agent's execution and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol


@dataclass(frozen=True)
class Assignment:
    """One task for one agent: the brief, and what earlier steps of the run came to (pairs of step and text)."""

    brand: str
    product: str
    features: tuple[str, ...]
    audience: str
    task: str
    earlier: tuple[tuple[str, str], ...] = ()


@dataclass
class Spent:
    """What an execution has cost so far; kept up to date in every way of leaving it."""

    llm_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    """USD; None while no call of a known price was made."""


@dataclass(frozen=True)
class Execution:
    """What an agent came to: as data, as text, and at what cost."""

    output: dict[str, Any]
    text: str
    llm_calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None = None


class Library(Protocol):
    """Where agents look things up."""

    async def brand_facts(self, brand: str) -> str:
        """Tell what is known of a brand; empty when nothing is."""

    async def earlier_copy(self, brand: str, limit: int = 2) -> list[str]:
        """Give what was written for a brand before, the latest first."""


class AgentFailed(Exception):
    """An agent came to nothing; ``reason`` is a line for the user, without a word of prompt or answer."""

    status: Literal["error", "timeout"] = "error"

    def __init__(
        self,
        reason: str,
        *,
        llm_calls: int = 0,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
        cost: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.llm_calls = llm_calls
        self.prompt_tokens = prompt_tokens
        self.completion_tokens = completion_tokens
        self.cost = cost


class AgentTimedOut(AgentFailed, TimeoutError):  # a TimeoutError, so that a span around it tells a timeout
    """An agent came to nothing because time ran out."""

    status: Literal["error", "timeout"] = "timeout"
