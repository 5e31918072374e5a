"""Generated code that receives the fields of an event: it looks up what they update, and calls that with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any

from events.bus.emitters import DeliverFn

from ..fastpath.codegen import compile_source
from ..fastpath.public_update import SetArguments
from ..fastpath.set_fields import VALUE


def receive_function(
    arguments: SetArguments,
    key: Mapping[str, bool],
    *,
    get: Callable[[Any], Any],
    find: Callable[[Any, Any], Any],
    uncached: Callable[[Any, Any], Any],
    set_gauges: Callable[..., object] | None,
) -> DeliverFn:
    """Return a function that takes the fields that are set, in their order, and updates all that they change.

    Args:
        arguments: The fields that are set, and those that updates take.
        key: The fields that choose the update, and of each whether it may be a number, whose type is in the key then.
        get: Returns the update by the values of these, None for values that come for the first time.
        find: Returns it then, by these values and all fields.
        uncached: The same where one is not hashable.
        set_gauges: Sets gauges by all fields; None if there are none.
    """
    set_fields = arguments.set_fields
    expressions = key_expressions({set_fields.expression(name, VALUE): typed for name, typed in key.items()})
    constants = set_fields.constants(key)
    make = generate_receive_function(
        set_fields.event.__name__,
        set_fields.names,
        expressions,
        arguments.names,
        tuple(constants),
        sets_gauges=set_gauges is not None,
    )
    receive: DeliverFn = make(get=get, find=find, uncached=uncached, set_gauges=set_gauges, **constants)
    return receive


@lru_cache(512)
def generate_receive_function(
    event: str,
    names: tuple[str, ...],
    key: tuple[str, ...],
    arguments: tuple[str, ...],
    constants: tuple[str, ...],
    *,
    sets_gauges: bool,
) -> Callable[..., DeliverFn]:
    """Return ``make_receive``, whose keyword arguments are functions, and constants in the expressions of the key."""
    variables = [VALUE.format(name=name) for name in names]
    lines = [
        f"def make_receive({', '.join(['get', 'find', 'uncached', 'set_gauges', *constants])}):",
        "    def receive(fields):",
        *([f"        [{', '.join(variables)}] = fields.values()"] if names else []),
        f"        key = ({''.join(f'{each}, ' for each in key)})",
        "        try:",
        "            compiled = get(key)",
        "        except Exception:",
        "            compiled = uncached(key, fields)",
        "        update, gauges = compiled or find(key, fields)",
        f"        update({', '.join(VALUE.format(name=name) for name in arguments)})",
        *(["        if gauges:", "            set_gauges(gauges, fields)"] if sets_gauges else []),
        "    return receive",
    ]
    file_name = f"<{__name__.partition('.subscription')[0]} receive {event}({', '.join(names)}) by ({', '.join(key)})>"
    return compile_source(lines, file_name, {})["make_receive"]  # type: ignore[no-any-return]  # the function above


def key_function(key: Mapping[str, bool]) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function that returns the key of an event, by its fields and whether the type of each is in the key."""
    if not any(key.values()) and len(key) > 1:
        return attrgetter(*key)
    return generate_key_function(key_expressions({f"event.{name}": typed for name, typed in key.items()}))


@lru_cache(512)
def generate_key_function(key: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function that returns the values of these expressions of an event."""
    return eval(f"lambda event: ({''.join(f'{each}, ' for each in key)})")  # type: ignore[no-any-return]  # noqa: S307  # of names of fields alone


def key_expressions(values: Mapping[str, bool]) -> tuple[str, ...]:
    """Return the expressions of a key: values, and the types of those of which this is wanted, each computed once."""
    typed = [number for number, is_typed in enumerate(values.values()) if is_typed]
    return (
        *(f"(value{i} := {each})" if i in typed else each for i, each in enumerate(values)),
        *(f"type(value{i})" for i in typed),
    )
