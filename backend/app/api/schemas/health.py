"""The bodies of responses about the studio's health."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

HealthStatus = Literal["ok", "unavailable"]


class Live(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Whether this process is to be sent requests."""

    status: HealthStatus
    reason: str | None = Field(default=None, description="Why it is not, and what to do")


class ComponentHealth(BaseModel):
    """The health of one component."""

    status: HealthStatus
    reason: str | None = Field(default=None, description="Why it is unavailable, and what to do")


class Health(BaseModel):
    """The health of the studio."""

    status: HealthStatus = Field(description="ok when every component is")
    database: ComponentHealth
    model: ComponentHealth | None = Field(description="null where this process executes no runs, and asks no model")
    workflows: ComponentHealth
