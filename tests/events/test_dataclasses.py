"""Events and what describes them do not change: dataclasses are frozen, but for those that hold state."""

from __future__ import annotations

from typing import Any

import pytest

import events
from tests.support.package_dataclasses import dataclasses_of, is_made_by_keyword

STATE = {"Batch", "Detached", "FailureHooks", "InstrumentedModel",
         "ObservedToolset", "ReadAhead", "RequestSpec", "Run"}  # fmt: skip
"""Dataclasses that are changed by the module that made them."""

IDENTITY = {"Run"}
"""Dataclasses that are equal to themselves alone: two of the same fields are two."""

POSITIONAL = {"AskedModel", "Batch", "Begun", "CallKind", "Detached", "FailureHooks", "FetchedStatement",
              "Function", "InstrumentedModel", "LazyLoads", "Measure", "ObservedToolset", "Outcome",
              "PoolMethods", "PoolState", "ReadAhead", "ReceivedStream", "Run", "StatementPlan", "Total",
              "UnansweredStatement"}  # fmt: skip
"""Dataclasses whose fields may be passed by their position."""

DATACLASSES = dataclasses_of(events)


@pytest.mark.parametrize("name", sorted(DATACLASSES))
def test_a_dataclass_is_frozen_unless_it_holds_state_and_made_by_keyword_unless_it_is_small(name: str) -> None:
    parameters: Any = DATACLASSES[name].__dataclass_params__
    assert parameters.frozen is (name not in STATE)
    assert parameters.eq is (name not in IDENTITY)
    assert is_made_by_keyword(DATACLASSES[name]) is (name not in POSITIONAL)
