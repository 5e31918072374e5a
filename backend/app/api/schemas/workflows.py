"""The bodies of responses about workflows."""

from __future__ import annotations

from pydantic import BaseModel, Field


class WorkflowStepOut(BaseModel):
    """A step of a workflow."""

    name: str = Field(examples=["copywriter"])
    agent_name: str = Field(examples=["copywriter"])
    task: str = Field(examples=["Write the copy of the product's page."])
    stage: int = Field(description="Steps of one stage run side by side")


class WorkflowOut(BaseModel):
    """A workflow that can be started."""

    name: str = Field(examples=["product_content"])
    description: str
    steps: list[WorkflowStepOut]
