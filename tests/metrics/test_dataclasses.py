"""What is passed around does not change: dataclasses are frozen, but for those that hold state."""

from __future__ import annotations

from typing import Any

import pytest

import metrics
from tests.support.package_dataclasses import dataclasses_of, is_made_by_keyword

STATE = {"Changes", "FileIndex", "Histogram", "Vocabulary", "_Record"}
"""Dataclasses that are changed by the module that made them."""

DECLARED = {"Alert", "AlertWhen", "Chart", "Dashboard", "EventEmitted", "Group", "Metric", "Names", "Objective",
            "Panel", "ProjectConfig", "Query", "Recording", "Section", "Tile", "Variable"}  # fmt: skip
"""Dataclasses that are written by hand as rows of tables: their fields are passed by name alone."""

DATACLASSES = dataclasses_of(metrics)


@pytest.mark.parametrize("name", sorted(DATACLASSES))
def test_a_dataclass_is_frozen_unless_it_holds_state_and_made_by_keyword_where_it_is_a_row(name: str) -> None:
    parameters: Any = DATACLASSES[name].__dataclass_params__
    assert parameters.frozen is (name not in STATE)
    assert parameters.eq
    assert is_made_by_keyword(DATACLASSES[name]) is (name in DECLARED)
