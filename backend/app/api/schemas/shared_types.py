"""The parts that bodies of requests share: strict models, and types of text with their limits."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints


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


def _described_by(pattern: str) -> Any:
    """Return what says in OpenAPI, as a pattern of ECMA-262, what the validators check, whose messages say more."""
    return Field(json_schema_extra={"pattern": pattern})


_NO_CONTROLS = r"[^\x00-\x1f\x7f-\x9f]*"
_ONE_LINE = _described_by(f"^{_NO_CONTROLS}$")
_NOT_BLANK = _described_by(rf"^{_NO_CONTROLS}[^\s\x00-\x1f\x7f-\x9f]{_NO_CONTROLS}$")
_NO_NUL = _described_by(r"^[^\x00]*$")

# fmt: off
BrandName =    Annotated[str, _length(1, 120),  AfterValidator(_check_control_characters), _NOT_BLANK]
Line =         Annotated[str, _length(1, 200),  AfterValidator(_check_control_characters), _NOT_BLANK]
Feature =      Annotated[str, _length(1, 100),  AfterValidator(_check_control_characters), _NOT_BLANK]
OptionalLine = Annotated[str, _length(0, 200),  AfterValidator(_check_control_characters), _ONE_LINE]
Text =         Annotated[str, _length(0, 1000), AfterValidator(_check_nul),                _NO_NUL]
# fmt: on
