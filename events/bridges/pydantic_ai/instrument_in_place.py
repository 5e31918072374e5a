"""`instrument_in_place`: a model that is in use already emits the events of its requests, until that is undone."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from pydantic_ai.agent import AbstractAgent
from pydantic_ai.models import Model

from ..sdk_clients.observed_classes import derive_class, set_class
from .billing import PriceFunction
from .instrument_model import check_arguments, instrument
from .output_faults import SchemaValidator
from .price_list import list_price
from .wrapper import InstrumentedModel

OBSERVED = tuple(
    name for name, member in vars(InstrumentedModel).items() if callable(member) and not name.startswith("_")
)
"""The methods of a model that emit events."""

_STATE = "_events_state"


class InstrumentedInPlace:
    """A model that emits events, until `undo`; as a context manager, until the end of the block.

    Attributes:
        model: The model, which is used as before.
    """

    def __init__(self, model: Model) -> None:
        self.model = model

    def undo(self) -> None:
        """Emit nothing more; calling it again does nothing."""
        if _STATE in vars(cls := type(self.model)):
            self.model.__class__ = cls.__bases__[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.undo()


def instrument_in_place(
    model: Model | AbstractAgent[Any, Any],
    *,
    price: PriceFunction | None = list_price,
    is_valid_output: SchemaValidator | None = None,
    emit_tool_calls: bool = True,
) -> InstrumentedInPlace:
    """Have a model, or that of an agent, emit the events of its requests as `instrument` does, wherever it is in use.

    The model stays what it is, an instance of its class: agents that have it need not be made anew. A copy of it that
    is made later emits nothing. One that emits already, wrapped or in place, stays as it is.

    Args:
        model: The model, or an agent that has one.
        price: As for `instrument`.
        is_valid_output: As for `instrument`.
        emit_tool_calls: As for `instrument`.

    Returns:
        A handle: ``undo()`` ends it, and so does the end of a ``with`` block.

    Raises:
        TypeError: It is neither a model nor an agent that has one, or ``price`` can be neither called nor is None.
    """
    found = model_of(model)
    check_arguments(found, price)
    if is_instrumented(found):
        return InstrumentedInPlace(found)
    cls: Any = type(found)
    state = vars(found)
    twin = object.__new__(cls)  # what the model was: it has the same attributes, and they stay the same
    twin.__dict__ = state
    observed = instrument(twin, price=price, is_valid_output=is_valid_output, emit_tool_calls=emit_tool_calls)
    methods = {name: observed_method(cls, name, observed, state) for name in OBSERVED if hasattr(cls, name)}
    set_class(found, derive_class(cls, **methods, **{_STATE: state}))
    return InstrumentedInPlace(found)


def model_of(model: Any) -> Any:
    """Return the model of an agent, which may be a name; anything else as it is."""
    return model.model if isinstance(model, AbstractAgent) else model


def is_instrumented(model: Any) -> bool:
    """Return whether a model, or that of an agent, emits events already."""
    found = model_of(model)
    return isinstance(found, InstrumentedModel) or _STATE in vars(type(found))


def observed_method(cls: Any, name: str, observed: Model, state: dict[str, Any]) -> Any:
    """Return a method that calls that of the model which emits events; on a copy of the model, that of its class."""

    def method(self: Any, *args: Any, **named: Any) -> Any:
        if vars(self) is not state:
            return getattr(cls, name)(self, *args, **named)
        return getattr(observed, name)(*args, **named)

    method.__name__ = name
    return method
