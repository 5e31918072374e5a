"""What is measured is judged rightly. How fast things are is for ``make bench`` to say, not for a test."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import pytest

from benchmarks.measuring import Claim, alternately, percentile, ratios
from benchmarks.report import as_markdown
from benchmarks.table import ROWS


def claim(better: Any, bar: float, ours: list[float]) -> Claim:
    return Claim(what="rendering", bar=bar, better=better, unit="times", ours=ours, peers={"another": [1.0, 3.0, 2.0]})


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_the_table_can_be_measured(row: str) -> None:
    measure = import_module(f"benchmarks.{row}").measure
    assert list(inspect.signature(measure).parameters) == ["short"]


@pytest.mark.parametrize(
    ("better", "ours", "missed", "far"),
    [
        ("higher", 20, False, False),
        ("higher", 19, True, False),
        ("higher", 14, True, True),
        ("lower", 20, False, False),
        ("lower", 21, True, False),
        ("lower", 26, True, True),
    ],
)
def test_a_bar_is_missed_and_by_far_from_a_quarter_on(better: str, ours: float, missed: bool, far: bool) -> None:
    """The median counts, so that one disturbed round decides nothing."""
    judged = claim(better, 20, [ours, 0.0, ours, 1000.0, ours])
    assert judged.measured == ours
    assert (judged.misses(), judged.is_far_off(0.25)) == (missed, far)


def test_ways_are_taken_in_turns_and_compared_within_a_round() -> None:
    now = [0.0]
    order: list[str] = []

    def way(name: str, takes: float) -> Any:
        def run() -> None:
            order.append(name)
            now[0] += takes

        return run

    runs = alternately({"a": way("a", 1), "b": way("b", 4)}, rounds=2, tries=1, clock=lambda: now[0])
    assert order == ["a", "b", "a", "b"]
    assert ratios(runs["b"], runs["a"]) == [4, 4]
    assert percentile([5, 1, 2], 0.5) == 2


def test_the_page_tells_medians_with_ranges() -> None:
    page = as_markdown([claim("higher", 20, [10, 30, 21])])
    assert "| rendering | at least 20 times | 21 (10 to 30) | kept | another 2 (1 to 3) |" in page
    assert "**missed**" in as_markdown([claim("lower", 20, [21])])
