"""The bodies of requests and responses about runs: the one that starts a run, and the JSON of GET /runs/{id}."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import AliasPath, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.database import RunStatus, StepStatus

from .shared_types import BrandName, Feature, Line, RequestBody

_EXAMPLE: JsonDict = {
    "brand": "Acme Audio",
    "product": "wireless earbuds",
    "features": ["noise cancelling"],
    "audience": "commuters",
}


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


class _FromRow(BaseModel):
    # A `validation_alias` names the attribute of the row where the JSON has another name.
    model_config = ConfigDict(from_attributes=True)


class Tokens(_FromRow):
    """Tokens that models read and wrote."""

    prompt: int = Field(validation_alias="prompt_tokens")
    completion: int = Field(validation_alias="completion_tokens")
    total: int = Field(validation_alias="total_tokens")


class StepOut(_FromRow):
    """A step that has ended."""

    position: int
    name: str
    agent_name: str
    status: StepStatus
    error: str | None
    output: dict[str, Any] | None
    started_at: datetime
    duration: float = Field(description="Seconds")
    llm_calls: int
    tokens: Tokens = Field(validation_alias="usage")
    cost: float | None = Field(description="USD; null when no price is known")


class RunSummary(_FromRow):
    """A run, without its steps and its output."""

    run_id: str = Field(validation_alias="id")
    workflow_type: str
    brand: str = Field(validation_alias=AliasPath("brand", "name"))
    status: RunStatus
    error: str | None = Field(description="Why it failed")
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    llm_calls: int = Field(validation_alias=AliasPath("usage", "llm_calls"))
    tokens: Tokens = Field(description="Summed from the steps", validation_alias="usage")
    cost: float | None = Field(
        description="USD, summed from the steps; null when no price is known",
        validation_alias=AliasPath("usage", "cost"),
    )


class RunDetail(RunSummary):
    """A run, with its brief, its steps and its output."""

    brief: dict[str, Any]
    steps: list[StepOut] = Field(description="The steps that ended, in order")
    output: dict[str, Any] | None = Field(description="The output of a completed run")
