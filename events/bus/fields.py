"""What a field of an event is for.

A field's type says what a listener may do with it:

- a *closed label* (``Literal``, an enum, ``bool``): every value is known beforehand;
- an *open label* (`Label`, `Code`): values are learned, so a listener keeps a bounded number of them;
- a *measure* (`Seconds`, `Bytes`, `Tokens`, `Dollars`): the number itself, in a base unit;
- a *key* (`Key`): pairs the start of something with its end;
- anything else is plain context (ids, names of exceptions): for logs and traces, never a label.

A value of ``None`` means *unknown*, which is not nought.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Annotated, Any, Literal


@dataclass(frozen=True)
class OpenLabel:
    """Marks a label whose values are not known beforehand."""


@dataclass(frozen=True)
class Measure:
    """Marks a measure and says what it counts."""

    name: str

    @property
    def max_amount(self) -> float:
        """The amount from which on no single event can mean it: 30 years, a petabyte, a milliard tokens."""
        return {"seconds": 1e9, "bytes": 1e15, "tokens": 1e9, "usd": 1e6}.get(self.name, inf)


@dataclass(frozen=True)
class PairingKey:
    """Marks the field that pairs a start with its end."""


Label = Annotated[str, OpenLabel()]
Code = Annotated[int, OpenLabel()]
Seconds = Annotated[float, Measure("seconds")]
Bytes = Annotated[int, Measure("bytes")]
Tokens = Annotated[int, Measure("tokens")]
Dollars = Annotated[float, Measure("usd")]
Key = Annotated[str, PairingKey()]

Status = Literal["success", "error", "timeout", "cancelled"]
"""How an agent, a model call or a tool ended."""

WorkflowStatus = Literal["completed", "failed", "cancelled", "abandoned"]
"""How a workflow ended; a time limit that passed is ``failed``."""

ErrorType = Literal[
    "timeout",
    "rate_limited",
    "quota_exceeded",
    "auth",
    "invalid_request",
    "context_length_exceeded",
    "content_filtered",
    "provider_5xx",
    "connection",
    "invalid_response",
    "cancelled",
    "other",
]
"""Why something that asks a model came to nothing."""

UNKNOWN = "unknown"
"""The value of a label that nobody told."""

_INHERITED = "inherited"
_TOTAL = "total"


@dataclass(frozen=True)
class Total:
    """What a span's finished event adds up: ``field`` of ``signal``, or how often it was told."""

    signal: str
    field: str | None


def inherited(default: str = UNKNOWN) -> Any:
    """Declare a field that is taken from the enclosing spans when the sender does not name it."""
    return field(default=default, metadata={_INHERITED: True})


def total(signal: str, of: str | None = None, *, start: float | None = 0) -> Any:
    """Declare a field of a finished event that adds up what was told inside the span.

    ``total("llm_called")`` counts the calls; ``total("llm_called", "prompt_tokens")`` adds their tokens.
    Unknown (``None``) amounts are left out; ``start`` is what is told where nothing was added.
    """
    return field(default=start, metadata={_TOTAL: Total(signal, of)})


def inherited_fields(event: type[Any]) -> tuple[str, ...]:
    """Name the fields of an event class that are declared with `inherited`."""
    return tuple(name for name, spec in event.__dataclass_fields__.items() if spec.metadata.get(_INHERITED))


def total_fields(event: type[Any]) -> dict[str, Total]:
    """Map the fields of an event class that are declared with `total` to what they add up."""
    return {name: spec.metadata[_TOTAL] for name, spec in event.__dataclass_fields__.items() if _TOTAL in spec.metadata}
