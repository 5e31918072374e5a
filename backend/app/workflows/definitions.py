"""The workflows that can be run: data, no code.

A workflow is a row of stages, one after the other. A stage is one step, or several that run side by side. A step's name
is unique in its workflow; what a run hands back are the texts of the steps named by ``result``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One agent with one task."""

    name: str
    agent_name: str
    task: str


@dataclass(frozen=True, slots=True)
class Workflow:
    """What a run does."""

    name: str
    description: str
    stages: tuple[tuple[Step, ...], ...]
    result: tuple[str, ...]

    def steps(self) -> Iterator[Step]:
        """Every step, in order."""
        for stage in self.stages:
            yield from stage


# fmt: off
WORKFLOWS: dict[str, Workflow] = {workflow.name: workflow for workflow in (
    Workflow(
        "product_content", "Copy for a product page: written, reviewed, then tightened.",
        (
            (Step("copywriter", "copywriter", "Write the copy of the product's page."),),
            (Step("reviewer",   "reviewer",   "Judge whether the copy fits the brief."),),
            (Step("optimizer",  "optimizer",  "Tighten the copy so that it sells better."),),
        ),
        result=("optimizer",),
    ),
    Workflow(
        "brand_identity", "Who the brand is: a position, the words for it, a second look.",
        (
            (Step("strategist", "strategist", "Find what sets the brand apart."),),
            (Step("copywriter", "copywriter", "Put the brand's identity into words."),),
            (Step("reviewer",   "reviewer",   "Judge whether the words fit the brand."),),
        ),
        result=("copywriter",),
    ),
    Workflow(
        "content_review", "A second pair of eyes: judged, edited, judged again.",
        (
            (Step("reviewer",   "reviewer",   "Judge the message that the brief asks for."),),
            (Step("editor",     "editor",     "Write the message anew, heeding the review."),),
            (Step("reviewer_2", "reviewer",   "Judge the edited message."),),
        ),
        result=("editor",),
    ),
    Workflow(
        "campaign", "A campaign: one idea, two texts written side by side, one review.",
        (
            (Step("strategist",   "strategist", "Find the idea of the campaign."),),
            (Step("copywriter",   "copywriter", "Write the advertisement."),
             Step("copywriter_2", "copywriter", "Write the newsletter.")),
            (Step("reviewer",     "reviewer",   "Judge both texts against the idea."),),
        ),
        result=("copywriter", "copywriter_2"),
    ),
)}
# fmt: on
