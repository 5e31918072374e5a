"""The bodies of responses about the studio's health."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

HealthStatus = Literal["ok", "unavailable"]


class Live(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class ComponentHealth(BaseModel):
    """Whether one part works."""

    status: HealthStatus
    reason: str | None = Field(default=None, description="Why it does not work, and what to do")


class Health(BaseModel):
    """Whether the studio can do its work."""

    status: HealthStatus = Field(description="ok when every part is")
    database: ComponentHealth
    model: ComponentHealth
