"""The bodies of responses about errors."""

from __future__ import annotations

from pydantic import BaseModel, Field


class ErrorBody(BaseModel):
    """An error: the thing, the value and what to do."""

    detail: str


class FieldError(BaseModel):
    """A value that is not valid."""

    type: str = Field(examples=["string_too_long"])
    loc: list[str | int] = Field(description="Where the value is", examples=[["body", "brand"]])
    msg: str = Field(description="What would be valid")


class ValidationProblem(BaseModel):
    """Why a request is refused: as a message, or value by value."""

    detail: str | list[FieldError]
    omitted: int | None = Field(default=None, description="How many more values are not valid, if any")
