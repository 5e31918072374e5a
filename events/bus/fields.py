"""Types for the fields of events, which say what a listener may do with each.

- A *closed label* (``Literal``, an enum, ``bool``): every value is known beforehand.
- An *open label* (`Label`, `Code`): values come up at run time, so a listener keeps a bounded number of them.
- A *measure* (`Seconds`, `Bytes`, `Tokens`, `Dollars`): the number itself, in a base unit.
- A *key* (`Key`): the same value in the event that starts something and in the one that ends it.
- Anything else is *context* (ids, names of exceptions): for logs and traces, never a label.

A value of ``None`` means *unknown*, which is not zero.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from numbers import Number
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from weakref import WeakKeyDictionary


@dataclass(frozen=True)
class OpenLabel:
    """Marks a label whose values are not known beforehand."""


@dataclass(frozen=True)
class Measure:
    """Marks a number that is measured or counted, and names its unit."""

    unit: str

    @property
    def max_amount(self) -> float:
        """The amount from which on no single event can be right: 30 years, a petabyte, 10^9 tokens, 10^6 dollars."""
        return {"seconds": 1e9, "bytes": 1e15, "tokens": 1e9, "usd": 1e6}.get(self.unit, inf)


@dataclass(frozen=True)
class PairingKey:
    """Marks the field whose value pairs a started event with its finished event."""


Label = Annotated[str, OpenLabel()]
"""A text such as an agent's or a model's name; as a label of a metric it is bounded."""

Code = Annotated[int, OpenLabel()]
"""A number that is a name, such as a status code; as a label of a metric it is bounded."""

Seconds = Annotated[float, Measure("seconds")]
"""A duration."""

Bytes = Annotated[int, Measure("bytes")]
"""A size."""

Tokens = Annotated[int, Measure("tokens")]
"""A number of a language model's tokens."""

Dollars = Annotated[float, Measure("usd")]
"""A cost in US dollars."""

Key = Annotated[str, PairingKey()]
"""An id that a started event and its finished event share; a span makes one up where none is set."""

Status = Literal["success", "error", "timeout", "cancelled"]
"""How an agent run, a model call or a tool call ended."""

WorkflowStatus = Literal["completed", "failed", "cancelled", "abandoned"]
"""How a workflow run ended; one that exceeded its time limit is ``failed``."""

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
"""Why an agent run, a model call or an attempt at one failed."""

UNKNOWN = "unknown"
"""The value of a label that was not set."""

_INHERITED = "inherited"
_TOTAL = "total"


@dataclass(frozen=True)
class Total:
    """The sum in a span's finished event: of ``field`` of the events of ``signal``, or of their number where None.

    ``own`` leaves out what spans of the same kind inside have in their own sums.
    """

    signal: str
    field: str | None
    own: bool = False


def inherited(default: str = UNKNOWN) -> Any:
    """Declare a field whose value comes from the enclosing spans where the emitting code does not set it.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True, kw_only=True)
    ... class ToolCalled:
    ...     tool_name: Label
    ...     agent_name: Label = inherited()
    >>> inherited_fields(ToolCalled)
    ('agent_name',)
    """
    return dataclasses.field(default=default, metadata={_INHERITED: True})


def total(signal: str, field: str | None = None, *, start: float | None = 0, own: bool = False) -> Any:
    """Declare a field of a finished event that sums the events emitted inside the span.

    ``total("llm_called")`` counts the calls; ``total("llm_called", "prompt_tokens")`` sums their tokens. Unknown
    amounts (``None``) are left out. ``start`` is the field's value where nothing was summed. A sum holds the events of
    every span inside; ``own`` leaves out those inside another span of the same kind, so that own sums can be added up.
    """
    return dataclasses.field(default=start, metadata={_TOTAL: Total(signal, field, own)})


def inherited_fields(event: type[Any]) -> tuple[str, ...]:
    """Return the names of an event class's fields that are declared with `inherited`."""
    return tuple(name for name, spec in event.__dataclass_fields__.items() if spec.metadata.get(_INHERITED))


def total_fields(event: type[Any]) -> dict[str, Total]:
    """Return what each field of an event class that is declared with `total` sums, by the field's name."""
    return {name: spec.metadata[_TOTAL] for name, spec in event.__dataclass_fields__.items() if _TOTAL in spec.metadata}


_known_types: WeakKeyDictionary[Callable[..., Any], Mapping[str, Any]] = WeakKeyDictionary()


def field_types(event: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the type of each field of an event class, by name, with the markers of their roles.

    Annotations are evaluated once for each class: that takes half a millisecond, and each row of a catalogue asks.

    Raises:
        TypeError: an annotation names what the class's module does not have.
    """
    types = _known_types.get(event)
    if types is None:
        try:
            types = _known_types[event] = get_type_hints(event, include_extras=True)
        except NameError as error:
            raise TypeError(
                f"the fields of {event.__qualname__} cannot be read: {error}; what their types name has to be in the"
                " class's module when it runs, neither inside a function nor under TYPE_CHECKING"
            ) from error
    return types


def may_be_number(hint: Any) -> bool:
    """Return whether a field of this type can have a number as its value; one that may be unknown can.

    >>> may_be_number(Seconds | None), may_be_number(Label), may_be_number(Status)
    (True, False, False)
    """
    if isinstance(hint, type) and not get_args(hint):
        return hint is object or (issubclass(hint, (Number, bool)) and hint is not NoneType)
    parts = get_args(hint)
    if get_origin(hint) is Literal:
        return any(isinstance(value, Number) for value in parts)
    if get_origin(hint) is Annotated:
        return may_be_number(parts[0])
    if get_origin(hint) in (Union, UnionType):
        return any(map(may_be_number, parts))
    return not parts and get_origin(hint) is None  # nothing is known of Any and of type variables
