"""The bodies of requests and responses about workflows, and about starting a run of one."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.database import RunStatus

from .inputs import BrandName, Feature, Line, RequestBody

_EXAMPLE: JsonDict = {
    "brand": "Acme Audio",
    "product": "wireless earbuds",
    "features": ["noise cancelling"],
    "audience": "commuters",
}


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


class RunCreate(RequestBody):
    """The brief of a run: what to write about, and for whom."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    brand: BrandName = Field(description="Name of the brand; one that is not stored yet is stored")
    product: Line = Field(description="What is sold")
    features: list[Feature] = Field(default=[], max_length=10, description="What it can do")
    audience: Line = Field(description="Who should buy it")


class RunCreated(BaseModel):
    """A run that was queued, or the one that the Idempotency-Key belongs to."""

    run_id: str = Field(examples=["5c0b9d6e-6f0c-4a57-9b3c-0d7a3cf6a1de"])
    workflow_type: str = Field(examples=["product_content"])
    brand: str = Field(examples=["Acme Audio"])
    status: RunStatus
