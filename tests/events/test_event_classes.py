"""Every event is a value: frozen, without room for other attributes, and made by the names of its fields."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import events

SIGNALS = {name: each for name, each in vars(events).items() if isinstance(each, events.Signal)}


@pytest.mark.parametrize("signal", SIGNALS.values(), ids=SIGNALS)
def test_an_event_is_frozen_slotted_and_made_by_keyword(signal: Any) -> None:
    """Receivers share it, so none may change it; emitting code names fields, so that they can be added anywhere."""
    event = signal.event
    required = [
        each.name
        for each in dataclasses.fields(event)
        if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
    ]
    made = event(**dict.fromkeys(required, "x"))
    first = dataclasses.fields(event)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, first, "y")
    assert not hasattr(made, "__dict__")
    assert made == event(**dict.fromkeys(required, "x"))
    with pytest.raises(TypeError, match="positional"):
        event("x")
