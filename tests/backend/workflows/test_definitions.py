"""The workflows have unique step names and the promised steps."""

from __future__ import annotations

import pytest

from app.workflows.definitions import WORKFLOWS, WorkflowDefinition


@pytest.mark.parametrize("workflow", WORKFLOWS.values(), ids=lambda workflow: workflow.name)
def test_every_step_of_a_workflow_has_a_name_of_its_own(workflow: WorkflowDefinition) -> None:
    """A step's row is found by the run and the step's name."""
    names = [step.name for step in workflow.steps()]
    assert len(names) == len(set(names))
    assert set(workflow.result) <= set(names)


def test_the_workflows_have_the_steps_that_were_promised() -> None:
    """Names and order are part of the durable workflows' version."""
    assert {name: [[step.name for step in stage] for stage in flow.stages] for name, flow in WORKFLOWS.items()} == {
        "product_content": [["copywriter"], ["reviewer"], ["optimizer"]],
        "brand_identity": [["strategist"], ["copywriter"], ["reviewer"]],
        "content_review": [["reviewer"], ["editor"], ["reviewer_2"]],
        "campaign": [["strategist"], ["copywriter", "copywriter_2"], ["reviewer"]],
    }
