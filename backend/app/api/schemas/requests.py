"""What people write to the API, with its bounds."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict


def _one_line(value: str) -> str:
    if any(unicodedata.category(letter) == "Cc" for letter in value):
        raise ValueError("control characters and line breaks do not belong here")
    return value


def _no_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("NUL characters do not belong here")
    return value


def _length(least: int, most: int) -> StringConstraints:
    return StringConstraints(strip_whitespace=True, min_length=least, max_length=most)


BrandName = Annotated[str, _length(1, 120), AfterValidator(_one_line)]
Line = Annotated[str, _length(1, 200), AfterValidator(_one_line)]
Feature = Annotated[str, _length(1, 100), AfterValidator(_one_line)]
OptionalLine = Annotated[str, _length(0, 200), AfterValidator(_one_line)]
Text = Annotated[str, _length(0, 1000), AfterValidator(_no_nul)]

_EXAMPLE: JsonDict = {
    "brand": "Acme Audio",
    "product": "wireless earbuds",
    "features": ["noise cancelling"],
    "audience": "commuters",
}


class _Given(BaseModel):
    # A misspelt field is told, not dropped.
    model_config = ConfigDict(extra="forbid")


class RunCreate(_Given):
    """What to write about, and for whom."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    brand: BrandName = Field(description="Name of the brand; one that is not stored yet is stored")
    product: Line = Field(description="What is sold")
    features: list[Feature] = Field(default=[], max_length=10, description="What it can do")
    audience: Line = Field(description="Who should buy it")


class BrandCreate(_Given):
    """A brand to store."""

    name: BrandName = Field(examples=["Acme Audio"])
    description: Text = Field(default="", examples=["Headphones made in small series"])
    audience: OptionalLine = Field(default="", examples=["people who listen closely"])
    tone: OptionalLine = Field(default="", examples=["warm, exact, never loud"])


class BrandUpdate(_Given):
    """What to change of a brand; what is left out or null stays."""

    name: BrandName | None = Field(default=None, examples=["Acme Sound"])
    description: Text | None = Field(default=None, examples=["Headphones and speakers"])
    audience: OptionalLine | None = Field(default=None, examples=["people who listen closely"])
    tone: OptionalLine | None = Field(default=None, examples=["dry"])
