"""The input and the result of an agent's execution, and the errors that it raises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from app.llm_usage import LLMUsage


@dataclass(frozen=True)
class Assignment:
    """One task for one agent: the brief, and the texts of the run's earlier steps as pairs of step name and text.

    ``author`` is the agent that wrote the last of these; "" where the text is the user's.
    """

    brand: str
    product: str
    features: tuple[str, ...]
    audience: str
    task: str
    earlier: tuple[tuple[str, str], ...] = ()
    author: str = ""


@dataclass(frozen=True)
class AgentResult:
    """The answer of an agent, as data and as text, and the usage of models that it took."""

    output: dict[str, Any]
    text: str
    usage: LLMUsage


class Library(Protocol):
    """The source of what the agents' tools look up."""

    async def brand_facts(self, brand: str) -> str:
        """Return what is known about a brand; empty when nothing is."""

    async def earlier_copy(self, brand: str, limit: int = 2) -> list[str]:
        """Return texts that were written for a brand before, the latest first."""


class AgentFailed(Exception):
    """An agent's execution failed.

    Attributes:
        reason: One line for the user, without a word of prompt or answer.
        usage: The usage of models up to the failure.
    """

    status: Literal["error", "timeout"] = "error"

    def __init__(self, reason: str, usage: LLMUsage) -> None:
        super().__init__(reason)
        self.reason = reason
        self.usage = usage


class AgentTimedOut(AgentFailed, TimeoutError):  # a TimeoutError, so that a span around it ends as a timeout
    """An agent's execution failed because time ran out."""

    status: Literal["error", "timeout"] = "timeout"
