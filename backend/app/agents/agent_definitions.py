"""The agents, as a table: their instructions, tools and limits.

The embedded model is tiny. It follows one short instruction, writes one good sentence, and answers in JSON when there
is a single field with a fixed set of values. So no agent asks for more than that. The model follows best what it reads
last, and answers with labels when it has read nothing but labels: hence the whole sentence, with names, at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from pydantic import BaseModel


class Review(BaseModel):
    """The decision of a reviewer."""

    verdict: Literal["approved", "revise", "rejected"]


SCORES = {"approved": 1.0, "revise": 0.5, "rejected": 0.0}
"""The score of an answer by the verdict on it."""


@dataclass(frozen=True)
class AgentSpec:
    """One agent. ``closing`` is the last sentence of its prompt, with places for brand, product and audience."""

    name: str
    instructions: str
    closing: str
    tools: tuple[str, ...]
    output_type: type[BaseModel] | None = None  # None: plain text
    max_tokens: int = 60
    temperature: float = 0.3

    @property
    def version(self) -> str:
        """The version of its prompt: other instructions are another one."""
        return sha256(f"{self.instructions}\n{self.closing}".encode()).hexdigest()[:8]


# fmt: off
AGENTS: dict[str, AgentSpec] = {spec.name: spec for spec in (
    AgentSpec("strategist",
              "You are a marketing strategist. You write one short sentence.",
              "Say in one short sentence why {audience} should choose the {product} by {brand}.",
              tools=("brand_facts", "earlier_copy")),
    AgentSpec("copywriter",
              "You are an advertising copywriter. You write one short sentence.",
              "Write one short sentence that sells the {product} by {brand} to {audience}.",
              tools=("brand_facts", "earlier_copy")),
    AgentSpec("reviewer",
              "You review advertising texts. You approve a text, ask to revise it or reject it.",
              "Say whether this suits the {product} by {brand} and {audience}.",
              tools=("brand_facts",), output_type=Review, max_tokens=80, temperature=0.0),
    AgentSpec("optimizer",
              "You are an advertising copywriter. You write one short sentence.",
              "Write one short sentence that sells the {product} by {brand} better.",
              tools=("brand_facts",)),
    AgentSpec("editor",
              "You are a copy editor. You write one short sentence.",
              "Write one clear sentence about the {product} by {brand} for {audience}.",
              tools=("brand_facts", "earlier_copy")),
)}
# fmt: on
