"""Who the agents are: data, no code.

The embedded model is tiny. It follows one short instruction, writes one sentence well, and answers in JSON if there is
one field to fill in whose values are given. So an agent asks for no more than that. It heeds most what it reads last,
and given labels alone it writes labels: hence a whole sentence, with the names in it, at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel


class Review(BaseModel):
    """What a reviewer decides."""

    verdict: Literal["approved", "revise", "rejected"]


@dataclass(frozen=True)
class AgentSpec:
    """One agent. ``form`` ends its prompt, with brand, product and audience filled in."""

    name: str
    instructions: str
    form: str
    tools: tuple[str, ...]
    output_type: type[BaseModel] | None = None  # None: plain text
    max_tokens: int = 60
    temperature: float = 0.3


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
