"""What is passed around does not change: dataclasses are frozen, but for those that hold state."""

from __future__ import annotations

from typing import Any

import pytest

import metrics
from tests.support.package_dataclasses import dataclasses_of

STATE = {"Changes", "FileIndex", "Histogram", "Vocabulary", "_Record"}
"""Dataclasses that are changed by the module that made them."""

DATACLASSES = dataclasses_of(metrics)


@pytest.mark.parametrize("name", sorted(DATACLASSES))
def test_a_dataclass_is_frozen_unless_it_holds_state(name: str) -> None:
    parameters: Any = DATACLASSES[name].__dataclass_params__
    assert parameters.frozen is (name not in STATE)
    assert parameters.eq
