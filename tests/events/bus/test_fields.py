"""A field's type says its role, and each event of the vocabulary keeps the rules that listeners rely on."""

from __future__ import annotations

import dataclasses
from enum import Enum
from types import ModuleType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import blinker
import pytest

import events
from events import Signal, Span, agents, http, llm, pipeline
from events.bus.fields import (
    UNKNOWN,
    Code,
    Label,
    Measure,
    OpenLabel,
    PairingKey,
    Seconds,
    Status,
    Tokens,
    Total,
    WorkflowStatus,
    inherited,
    inherited_fields,
    total,
    total_fields,
)

SIGNALS: list[Signal[..., Any]] = [one for one in vars(events).values() if isinstance(one, Signal)]
SPANS: list[Span[...]] = [one for one in vars(events).values() if isinstance(one, Span)]


def name(signal: Signal[..., Any]) -> str:
    return signal.name


def markers(hint: Any) -> list[Any]:
    """Collect the markers on a type, those inside ``... | None`` too."""
    if get_origin(hint) in {Union, UnionType}:
        return [marker for part in get_args(hint) for marker in markers(part)]
    return list(hint.__metadata__) if get_origin(hint) is Annotated else []


@pytest.mark.parametrize("module", [agents, http, llm, pipeline], ids=lambda module: str(module.__name__))
def test_roles_survive_annotations_that_are_text(module: ModuleType) -> None:
    """Every module has ``from __future__ import annotations``, so a type is text until it is evaluated."""
    assert "annotations" in vars(module)
    for event in vars(module).values():
        if dataclasses.is_dataclass(event) and event.__module__ == module.__name__:
            assert all(isinstance(field.type, str) for field in dataclasses.fields(event))


@pytest.mark.parametrize(
    ("event", "field", "marker"),
    [
        (events.AgentFinished, "agent_name", OpenLabel()),
        (events.AgentFinished, "workflow_type", OpenLabel()),
        (events.AgentFinished, "execution_id", PairingKey()),
        (events.AgentFinished, "duration", Measure("seconds")),
        (events.AgentFinished, "prompt_tokens", Measure("tokens")),
        (events.AgentFinished, "cost", Measure("usd")),
        (events.LLMCalled, "prompt_tokens", Measure("tokens")),
        (events.LLMCalled, "cost", Measure("usd")),
        (events.WorkflowStarted, "queue_wait", Measure("seconds")),
        (events.WorkflowStarted, "run_id", PairingKey()),
        (events.ContextBuilt, "size", Measure("bytes")),
        (events.HTTPRequestFinished, "status_code", OpenLabel()),
    ],
)
def test_a_role_is_read_from_the_type(event: type[Any], field: str, marker: object) -> None:
    assert markers(get_type_hints(event, include_extras=True)[field]) == [marker]


@pytest.mark.parametrize(
    ("event", "field", "values"),
    [
        (events.AgentFinished, "status", get_args(Status)),
        (events.WorkflowFinished, "status", get_args(WorkflowStatus)),
        (events.ValueDropped, "reason", ("negative", "not_finite", "not_a_number", "too_large", "too_many")),
    ],
)
def test_a_closed_label_lists_its_values(event: type[Any], field: str, values: tuple[str, ...]) -> None:
    assert get_args(get_type_hints(event, include_extras=True)[field]) == values


@pytest.mark.parametrize(
    ("unit", "amount"), [("seconds", 1e9), ("bytes", 1e15), ("tokens", 1e9), ("usd", 1e6), ("rows", float("inf"))]
)
def test_a_unit_has_an_amount_from_which_no_event_can_be_right(unit: str, amount: float) -> None:
    assert Measure(unit).max_amount == amount


@pytest.mark.parametrize(
    "plain", [("run_id", events.LLMCalled), ("error", events.LLMCalled), ("task", events.AgentStarted)]
)
def test_a_field_without_a_role_is_plain_text(plain: tuple[str, type[Any]]) -> None:
    field, event = plain
    assert get_type_hints(event, include_extras=True)[field] is str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """Something was sampled."""

    agent: Label = inherited()
    run: str = inherited("")
    code: Code = 0
    calls: int = total("called")
    tokens: Tokens = total("called", "tokens")
    cost: float = total("called", "cost", start=0.5)
    duration: Seconds = 0.0


def test_inherited_and_total_declare_ordinary_fields() -> None:
    assert inherited_fields(Sample) == ("agent", "run")
    assert total_fields(Sample) == {
        "calls": Total("called", None),
        "tokens": Total("called", "tokens"),
        "cost": Total("called", "cost"),
    }
    assert Sample() == Sample(agent=UNKNOWN, run="", calls=0, tokens=0, cost=0.5)


def test_every_event_and_signal_is_exported_by_name() -> None:
    """A signal can be imported from the package by its name, and so can its event."""
    declared = {signal.name for signal in blinker.default_namespace.values() if isinstance(signal, Signal)}
    assert {signal.name for signal in SIGNALS} <= declared
    for signal in SIGNALS:
        assert getattr(events, signal.name) is signal
        assert getattr(events, getattr(signal.event, "__name__", "")) is signal.event
    assert sorted(events.__all__) == events.__all__
    assert {*events.__all__} == {
        name
        for name, value in vars(events).items()
        if not name.startswith("_") and (name == "fields" or not isinstance(value, ModuleType))
    }


@pytest.mark.parametrize("signal", SIGNALS, ids=name)
def test_an_event_is_a_frozen_slotted_dataclass_with_a_docstring(
    signal: Signal[..., Any],
) -> None:
    event: Any = signal.event
    assert event.__dataclass_params__.frozen
    assert hasattr(event, "__slots__")
    assert event.__doc__.split("\n")[0].rstrip().endswith((".", ";"))
    assert event.__module__.startswith("events.")


@pytest.mark.parametrize("signal", SIGNALS, ids=name)
def test_each_inherited_field_is_a_field_of_some_span(signal: Signal[..., Any]) -> None:
    """A field that no span has would always be unknown."""
    known = {field for span in SPANS for field in get_type_hints(span.started.event)}
    assert {*inherited_fields(signal.event)} <= known  # type: ignore[arg-type]  # a dataclass is its own constructor


@pytest.mark.parametrize("signal", SIGNALS, ids=name)
def test_each_total_sums_a_number_of_an_event(signal: Signal[..., Any]) -> None:
    """A misspelt name would leave a total at zero."""
    for total_field in total_fields(signal.event).values():  # type: ignore[arg-type]  # the same
        source: Any = getattr(events, total_field.signal).event
        if total_field.field is not None:
            hint = get_type_hints(source)[total_field.field]
            assert {*(get_args(hint) or (hint,))} <= {int, float, type(None)}


@pytest.mark.parametrize("signal", SIGNALS, ids=name)
def test_each_field_is_a_label_a_measure_or_plain_text_or_number(signal: Signal[..., Any]) -> None:
    """Nothing that could hold an object or a connection."""
    hints = get_type_hints(signal.event)
    for field in dataclasses.fields(signal.event):  # type: ignore[arg-type]  # the same
        hint = hints[field.name]
        for part in get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,):
            closed = get_origin(part) is Literal or (isinstance(part, type) and issubclass(part, Enum))
            assert closed or part in {str, int, float, bool, type(None)}
