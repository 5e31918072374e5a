"""The parts that bodies of requests share: strict models, and types of text with their limits."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints


class RequestBody(BaseModel):
    """The base of request bodies: unknown fields are errors, so that a misspelt one is not ignored."""

    model_config = ConfigDict(extra="forbid")


def _check_control_characters(value: str) -> str:
    if any(unicodedata.category(character) == "Cc" for character in value):
        raise ValueError("control characters and line breaks do not belong here")
    return value


def _check_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("NUL characters do not belong here")
    return value


def _length(minimum: int, maximum: int) -> StringConstraints:
    return StringConstraints(strip_whitespace=True, min_length=minimum, max_length=maximum)


BrandName = Annotated[str, _length(1, 120), AfterValidator(_check_control_characters)]
Line = Annotated[str, _length(1, 200), AfterValidator(_check_control_characters)]
Feature = Annotated[str, _length(1, 100), AfterValidator(_check_control_characters)]
OptionalLine = Annotated[str, _length(0, 200), AfterValidator(_check_control_characters)]
Text = Annotated[str, _length(0, 1000), AfterValidator(_check_nul)]
