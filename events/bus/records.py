"""Events as records: plain data for a line of JSON, another process or a file, and back.

A record has what may leave the process, and nothing that could be a secret, a prompt or an answer. Labels, measures,
keys, numbers and truth values are taken as they are. Of other texts it has ids (``run_id``), and ``error`` and
``exception`` where they are the names of classes, never what an exception says. ``task`` and the like are left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from enum import Enum
from functools import lru_cache
from numbers import Real
from time import time
from types import UnionType
from typing import Annotated, Any, Literal, TypedDict, Union, get_args, get_origin

from blinker import Namespace, default_namespace

from .event_classes import snake_case
from .fields import OpenLabel, PairingKey, field_types
from .signal import Signal

SCHEMA_VERSION = 1
"""The version of the form of a record. Fields that events get or lose do not change it."""

MAX_TEXT = 200
"""How many characters of a text a record has."""

MAX_INT = 2**53
"""The largest integer that every reader of JSON has; one past it is a float."""

_CLASS_NAME = re.compile(r"[A-Za-z_][\w.]{0,199}")
_NAMES_OF_CLASSES = frozenset({"error", "exception"})
_SIMPLE = (str, int, float, bool, type(None))


class Record(TypedDict):
    """An event as plain data.

    ``schema`` is `SCHEMA_VERSION`, ``signal`` the name of the event's signal, ``time`` the Unix time in seconds at
    which the record was made. ``fields`` has the event's fields by name, without those that have their default.
    """

    schema: int
    signal: str
    time: float
    fields: dict[str, str | int | float | bool | None]


class InvalidRecord(ValueError):
    """A text or an object that is no record of an event that this process knows; the message says why."""


def record_of(event: Any) -> Record:
    """Return an event as a record, made now.

    >>> from events import AgentStarted
    >>> record_of(AgentStarted(agent_name="writer", task="Sell my earbuds", run_id="r1"))["fields"]
    {'agent_name': 'writer', 'run_id': 'r1'}
    """
    cls = type(event)
    name, readers = _readers(cls)  # type: ignore[arg-type]  # a class is hashable
    values = {}
    for field, default, read in readers:
        raw = getattr(event, field)
        if raw is default or (value := read(raw)) == default:
            continue
        values[field] = value
    return {"schema": SCHEMA_VERSION, "signal": name, "time": time(), "fields": values}


def event_of(record: Mapping[str, Any], namespace: Namespace = default_namespace) -> tuple[Signal[..., Any], Any]:
    """Return the signal and the event of a record; fields that the event does not have (any more) are left out.

    The event has to be declared in this process: whoever reads the records of an application imports its events.

    Raises:
        InvalidRecord: it has another schema, a signal that is not declared here, or lacks a field that is required.
    """
    if record.get("schema") != SCHEMA_VERSION:
        raise InvalidRecord(f"schema is {record.get('schema')!r}: only {SCHEMA_VERSION} can be read")
    name = record.get("signal")
    signal = namespace.get(name) if isinstance(name, str) else None
    if not isinstance(signal, Signal):
        raise InvalidRecord(f"signal {name!r} is not declared: import the module that does")
    values = record.get("fields")
    if not isinstance(values, Mapping):
        raise InvalidRecord(f"fields of {signal.name} are no object")
    event_class: Any = signal.event
    known = {field.name: field for field in fields(event_class) if field.init}
    missing = [
        name
        for name, field in known.items()
        if field.default is MISSING and field.default_factory is MISSING and name not in values
    ]
    if missing:
        raise InvalidRecord(f"{signal.name} lacks {', '.join(missing)}")
    unfit = [name for name, value in values.items() if not isinstance(value, _SIMPLE)]
    if unfit:
        raise InvalidRecord(f"{signal.name} has no plain value in {', '.join(unfit)}")
    try:
        return signal, signal.event(**{name: value for name, value in values.items() if name in known})
    except Exception as error:
        raise InvalidRecord(f"{signal.name} refuses its fields: {error}") from error


Reader = Callable[[Any], str | int | float | bool | None]


@lru_cache(maxsize=1024)
def _readers(event: type[Any]) -> tuple[str, tuple[tuple[str, Any, Reader], ...]]:
    """Return an event's signal, and for each field that a record may have its name, its default and how it is read."""
    hints = field_types(event)
    readers = []
    for field in fields(event):
        read = _reader(field.name, hints[field.name])
        if read is not None:
            readers.append((field.name, field.default, read))
    return snake_case(event.__name__), tuple(readers)


def _reader(name: str, hint: Any) -> Reader | None:
    """Return what reads the values of a field; None where they may be anything that somebody wrote."""
    if not _is_free_text(hint) or name.endswith("_id"):
        return plain_value
    return class_name_in if name in _NAMES_OF_CLASSES else None


def _is_free_text(hint: Any) -> bool:
    """Return whether a field may hold a text that is neither a label nor a key."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _is_free_text(parts[0]) and not any(isinstance(part, OpenLabel | PairingKey) for part in parts[1:])
    if origin in (Union, UnionType):
        return any(map(_is_free_text, parts))
    if origin is Literal:
        return False
    return not (isinstance(hint, type) and issubclass(hint, Real | Enum | bool | type(None)))


def plain_value(value: Any) -> str | int | float | bool | None:
    """Return a value as JSON has it: a number that is none as None, a text without lone surrogates and not too long."""
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value[:MAX_TEXT].encode("utf-8", "replace").decode()
    if type(value) is int and abs(value) <= MAX_INT:
        return value
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def class_name_in(value: Any) -> str:
    """Return the name of an exception's class, or nothing where it is another text: it may have anything in it."""
    return value if isinstance(value, str) and _CLASS_NAME.fullmatch(value) else ""
