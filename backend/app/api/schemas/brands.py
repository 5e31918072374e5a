"""The bodies of requests and responses about brands."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from .shared_types import BrandName, OptionalLine, RequestBody, Text


class BrandCreate(RequestBody):
    """A brand to store."""

    name: BrandName = Field(examples=["Acme Audio"])
    description: Text = Field(default="", examples=["Headphones made in small series"])
    audience: OptionalLine = Field(default="", examples=["people who listen closely"])
    tone: OptionalLine = Field(default="", examples=["warm, exact, never loud"])


class BrandUpdate(RequestBody):
    """The fields of a brand to change; those that are left out or null stay."""

    name: BrandName | None = Field(default=None, examples=["Acme Sound"])
    description: Text | None = Field(default=None, examples=["Headphones and speakers"])
    audience: OptionalLine | None = Field(default=None, examples=["people who listen closely"])
    tone: OptionalLine | None = Field(default=None, examples=["dry"])


class BrandOut(BaseModel):
    """A stored brand."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    description: str
    audience: str
    tone: str
    created_at: datetime
