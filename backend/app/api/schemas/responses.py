"""What the API answers with."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from app.database import Brand, Run, RunStatus, Step, StepStatus, Usage

Item = TypeVar("Item")


class BrandOut(BaseModel):
    """A stored brand."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    description: str
    audience: str
    tone: str
    created_at: datetime

    @classmethod
    def of(cls, brand: Brand) -> BrandOut:
        """Tell of a row."""
        return cls.model_validate(brand)


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


class RunCreated(BaseModel):
    """A run that was queued, or the one that the Idempotency-Key belongs to."""

    run_id: str = Field(examples=["5c0b9d6e-6f0c-4a57-9b3c-0d7a3cf6a1de"])
    workflow_type: str = Field(examples=["product_content"])
    brand: str = Field(examples=["Acme Audio"])
    status: RunStatus


class Tokens(BaseModel):
    """Tokens that models read and wrote."""

    prompt: int
    completion: int
    total: int

    @classmethod
    def of(cls, spent: Usage | Step) -> Tokens:
        """Add them up."""
        prompt, completion = spent.prompt_tokens, spent.completion_tokens
        return cls(prompt=prompt, completion=completion, total=prompt + completion)


class StepOut(BaseModel):
    """A step that ended, well or badly."""

    position: int
    name: str
    agent_name: str
    status: StepStatus
    error: str | None
    output: dict[str, Any] | None
    started_at: datetime
    duration: float = Field(description="Seconds")
    llm_calls: int
    tokens: Tokens
    cost: float | None = Field(description="USD; null where nobody knows a price")

    @classmethod
    def of(cls, step: Step) -> StepOut:
        """Tell of a row."""
        return cls(
            position=step.position,
            name=step.name,
            agent_name=step.agent_name,
            status=step.status,
            error=step.error,
            output=step.output,
            started_at=step.started_at,
            duration=step.duration,
            llm_calls=step.llm_calls,
            tokens=Tokens.of(step),
            cost=step.cost,
        )


class RunSummary(BaseModel):
    """A run, in short."""

    run_id: str
    workflow_type: str
    brand: str
    status: RunStatus
    error: str | None = Field(description="Why it failed")
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    llm_calls: int
    tokens: Tokens = Field(description="Summed from the steps")
    cost: float | None = Field(description="USD, summed from the steps; null where nobody knows a price")

    @classmethod
    def of(cls, run: Run) -> RunSummary:
        """Tell of a row."""
        return cls(**_told(run))


class RunDetail(RunSummary):
    """A run, with all that came of it."""

    brief: dict[str, Any]
    steps: list[StepOut] = Field(description="The steps that ended, in order")
    output: dict[str, Any] | None = Field(description="What the run hands back when it is completed")

    @classmethod
    def of(cls, run: Run) -> RunDetail:
        """Tell of a row."""
        steps = [StepOut.of(step) for step in run.steps]
        return cls(**_told(run), brief=run.brief, steps=steps, output=run.output)


def _told(run: Run) -> dict[str, Any]:
    spent = run.usage
    return {
        "run_id": run.id,
        "workflow_type": run.workflow_type,
        "brand": run.brand.name,
        "status": run.status,
        "error": run.error,
        "queued_at": run.queued_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "llm_calls": spent.llm_calls,
        "tokens": Tokens.of(spent),
        "cost": spent.cost,
    }


class Page(BaseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    total: int = Field(description="How many there are in all")
    limit: int
    offset: int


class Problem(BaseModel):
    """What went wrong: the thing, the value and the way out."""

    detail: str


class FieldError(BaseModel):
    """A value that does not fit."""

    type: str = Field(examples=["string_too_long"])
    loc: list[str | int] = Field(description="Where it stands", examples=[["body", "brand"]])
    msg: str = Field(description="What fits")


class ValidationProblem(BaseModel):
    """Why a request is refused: in words, or value by value."""

    detail: str | list[FieldError]
