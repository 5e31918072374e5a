"""The workflows that can be run, as a table.

A workflow is a sequence of stages. A stage is one step, or several that run in parallel. A step's name is unique in its
workflow. The output of a run is the texts of the steps that ``result`` names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepDefinition:
    """A step of a workflow: one agent with one task."""

    name: str
    agent_name: str
    task: str


@dataclass(frozen=True, slots=True)
class WorkflowDefinition:
    """A workflow: its stages, and the steps whose texts are its output."""

    name: str
    description: str
    stages: tuple[tuple[StepDefinition, ...], ...]
    result: tuple[str, ...]

    def steps(self) -> Iterator[StepDefinition]:
        """Yield every step, in order."""
        for stage in self.stages:
            yield from stage


# fmt: off
WORKFLOWS: dict[str, WorkflowDefinition] = {workflow.name: workflow for workflow in (
    WorkflowDefinition(
        "product_content", "Copy for a product page: written, reviewed, then tightened.",
        (
            (StepDefinition("copywriter", "copywriter", "Write the copy of the product's page."),),
            (StepDefinition("reviewer",   "reviewer",   "Judge whether the copy fits the brief."),),
            (StepDefinition("optimizer",  "optimizer",  "Tighten the copy so that it sells better."),),
        ),
        result=("optimizer",),
    ),
    WorkflowDefinition(
        "brand_identity", "Who the brand is: a position, the words for it, a second look.",
        (
            (StepDefinition("strategist", "strategist", "Find what sets the brand apart."),),
            (StepDefinition("copywriter", "copywriter", "Put the brand's identity into words."),),
            (StepDefinition("reviewer",   "reviewer",   "Judge whether the words fit the brand."),),
        ),
        result=("copywriter",),
    ),
    WorkflowDefinition(
        "content_review", "A second pair of eyes: judged, edited, judged again.",
        (
            (StepDefinition("reviewer",   "reviewer",   "Judge the message that the brief asks for."),),
            (StepDefinition("editor",     "editor",     "Write the message anew, heeding the review."),),
            (StepDefinition("reviewer_2", "reviewer",   "Judge the edited message."),),
        ),
        result=("editor",),
    ),
    WorkflowDefinition(
        "campaign", "A campaign: one idea, two texts written side by side, one review.",
        (
            (StepDefinition("strategist",   "strategist", "Find the idea of the campaign."),),
            (StepDefinition("copywriter",   "copywriter", "Write the advertisement."),
             StepDefinition("copywriter_2", "copywriter", "Write the newsletter.")),
            (StepDefinition("reviewer",     "reviewer",   "Judge both texts against the idea."),),
        ),
        result=("copywriter", "copywriter_2"),
    ),
)}
# fmt: on
