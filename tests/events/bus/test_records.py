"""Records: what may leave the process of an event, as plain data, and the event that is made of it again."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from math import inf, nan
from random import Random
from time import time
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from blinker import Namespace, default_namespace

from events import AgentFinished, ComponentChecked, Key, Label, LLMCalled, Seconds, Signal
from events.bus.fields import field_types
from events.bus.records import InvalidRecord, event_of, record_of

CANARY = "sk-canary-4711 write about our secret product"
FREE_TEXTS = {"task", "reason", "application", "applications", "route"}
SIGNALS = sorted((each for each in default_namespace.values() if isinstance(each, Signal)), key=lambda each: each.name)


class Color(Enum):
    RED = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipPainted:
    """An event of somebody else."""

    ship_id: Key
    color: Label
    wood: str = ""
    note: object = None
    hull_id: str = ""
    layers: int | None = 1
    duration: Seconds = 0.0
    error: str = ""


def value_of(hint: Any, random: Random) -> Any:
    """Return a value that a field of this type can have."""
    if get_origin(hint) is Annotated:
        return value_of(get_args(hint)[0], random)
    if get_origin(hint) is Literal:
        return random.choice(get_args(hint))
    if get_origin(hint) in (Union, UnionType):
        return value_of(random.choice(get_args(hint)), random)
    values = {str: "a text", bool: random.random() < 0.5, int: random.randrange(2**53), float: random.random()}
    return values.get(hint)


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.name)
@pytest.mark.parametrize("seed", range(10))
def test_every_event_of_the_library_is_the_same_after_it_was_written_and_read(
    signal: Signal[..., Any], seed: int
) -> None:
    event_class: Any = signal.event
    random = Random(seed)
    hints = {field.name: field_types(event_class)[field.name] for field in fields(event_class) if field.init}
    values = {name: value_of(hint, random) for name, hint in hints.items() if hint is not str or name not in FREE_TEXTS}
    values |= dict.fromkeys(values.keys() & {"error", "exception"}, "builtins.ValueError")
    event = event_class(**values)
    record = json.loads(json.dumps(record_of(event), allow_nan=False))
    assert event_of(record) == (signal, event)


def test_a_record_says_what_and_when_and_has_no_field_with_its_default() -> None:
    before = time()
    record = record_of(LLMCalled(model="m", status="success", duration=0.5, prompt_tokens=12))
    assert record == {
        "schema": 1,
        "signal": "llm_called",
        "time": record["time"],
        "fields": {"model": "m", "status": "success", "duration": 0.5, "prompt_tokens": 12},
    }
    assert before <= record["time"] <= time()


@pytest.mark.parametrize(
    "event",
    [
        AgentFinished(agent_name="writer", task=CANARY, status="error", duration=1, error=CANARY),
        LLMCalled(model="m", status="error", duration=1, error=f"ValueError: {CANARY}"),
        ComponentChecked(component="model", up=False, reason=CANARY),
        ShipPainted(ship_id="1", color="red", wood=CANARY, note=CANARY, error=f"{CANARY}!"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_somebody_wrote_stays_in_the_process(event: Any) -> None:
    assert "canary" not in json.dumps(record_of(event))


@pytest.mark.parametrize(("length", "is_taken"), [(200, True), (201, False)])
def test_a_name_of_a_class_that_is_too_long_is_none(length: int, is_taken: bool) -> None:
    name = "E" * length
    assert record_of(ShipPainted(ship_id="1", color="red", error=name))["fields"].get("error") == (
        name if is_taken else None
    )


def test_the_class_of_an_error_and_ids_are_taken() -> None:
    event = ShipPainted(ship_id="7", color="red", hull_id="h 1", error="paint.TooThin")
    assert record_of(event)["fields"] == {"ship_id": "7", "color": "red", "hull_id": "h 1", "error": "paint.TooThin"}


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Decimal("0.25"), 0.25),
        (Fraction(1, 4), 0.25),
        (10**400, None),
        (2**60, float(2**60)),
        (inf, None),
        (nan, None),
        (True, True),
        (Color.RED, "red"),
        ([1], None),
        (2**53, 2**53),
        (-(2**53) - 1, float(-(2**53) - 1)),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 200),
        ("half \ud800", "half ?"),
    ],
)
def test_odd_values_are_plain_in_a_record(value: Any, plain: Any) -> None:
    fields = record_of(ShipPainted(ship_id="1", color="red", duration=value))["fields"]
    assert fields["duration"] == plain
    assert type(fields["duration"]) is type(plain)
    json.dumps(fields, allow_nan=False).encode()


def test_an_event_that_is_newer_than_this_process_is_read_without_what_is_unknown() -> None:
    names = Namespace()
    signal = Signal(ShipPainted, names)
    record = record_of(ShipPainted(ship_id="1", color="red"))
    record["fields"]["sails"] = 3
    assert event_of(record, names) == (signal, ShipPainted(ship_id="1", color="red"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "schema is 2: only 1 can be read"),
        ({"schema": None}, "schema is None"),
        ({"signal": "ship_sunk"}, "signal 'ship_sunk' is not declared: import the module that does"),
        ({"signal": ["x"]}, r"signal \['x'\] is not declared"),
        ({"fields": None}, "fields of ship_painted are no object"),
        ({"fields": {"color": "red"}}, "ship_painted lacks ship_id"),
        ({"fields": {"ship_id": "1", "color": ["red"]}}, "ship_painted has no plain value in color"),
    ],
    ids=str,
)
def test_what_is_no_record_is_refused_with_the_reason(change: dict[str, Any], message: str) -> None:
    names = Namespace()
    Signal(ShipPainted, names)
    record = record_of(ShipPainted(ship_id="1", color="red")) | change
    with pytest.raises(InvalidRecord, match=message):
        event_of(record, names)


def test_what_an_event_refuses_is_no_record() -> None:
    names = Namespace()

    @dataclass(frozen=True, slots=True, kw_only=True)
    class MastBroken:
        mast: int

        def __post_init__(self) -> None:
            if self.mast < 1:
                raise ValueError("there is none")

    Signal(MastBroken, names)
    with pytest.raises(InvalidRecord, match="mast_broken refuses its fields: there is none"):
        event_of({"schema": 1, "signal": "mast_broken", "fields": {"mast": 0}}, names)


def test_free_texts_are_those_that_are_named_here() -> None:
    """A new field with a text that somebody writes has to be looked at: is it an id, or does it stay in the process?"""
    left_out = set()
    for signal in SIGNALS:
        event_class: Any = signal.event
        texts = {field.name: "text" for field in fields(event_class) if field.init}
        left_out |= texts.keys() - record_of(event_class(**texts))["fields"].keys()
    assert left_out <= FREE_TEXTS
