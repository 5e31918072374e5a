"""Parsing of ``Accept`` and ``Accept-Encoding`` headers (RFC 9110, section 12.5).

No header raises: a part that cannot be parsed counts as absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

_MAX_PARTS: Final = 64
"""A header with more parts does not come from a scraper; the remaining ones are ignored."""


@dataclass(frozen=True, slots=True)
class AcceptPart:
    """One of the comma-separated parts: a media range or an encoding, its parameters, its q-value and its position."""

    name: str
    parameters: Mapping[str, str]
    weight: float
    position: int


def parse_accept(header: str) -> Iterator[AcceptPart]:
    """Yield the parts of a header that can be parsed, in lower case; a part without a q-value has weight 1."""
    for position, text in enumerate(header.split(",", _MAX_PARTS)[:_MAX_PARTS]):
        name, *rest = text.lower().split(";")
        parameters = {key.strip(): value.strip().strip('"') for key, _, value in (pair.partition("=") for pair in rest)}
        with suppress(ValueError):
            weight = float(parameters.get("q", "1"))
            if 0 <= weight <= 1:  # false for a NaN
                yield AcceptPart(name.strip(), parameters, weight, position)
