"""The bodies of responses about errors."""

from __future__ import annotations

from pydantic import BaseModel, Field


class ErrorBody(BaseModel):
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
