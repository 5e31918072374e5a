"""The bodies of responses about runs: the JSON of GET /runs and GET /runs/{id}, read from the rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import AliasPath, BaseModel, ConfigDict, Field

from app.database import RunStatus, StepStatus


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
