"""The benchmarks' arithmetic. How fast things are is for ``make bench`` to measure, not for a test."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import pytest

from benchmarks import BENCHMARKS
from benchmarks.__main__ import run_benchmark
from benchmarks.flat_memory import STREAMS
from benchmarks.measurement import Claim, alternately, percentile, ratios
from benchmarks.report import as_markdown


def claim(better: Any, bar: float, ours: list[float]) -> Claim:
    return Claim(what="rendering", bar=bar, better=better, unit="times", ours=ours, peers={"another": [1.0, 3.0, 2.0]})


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_has_a_measure_function(name: str) -> None:
    measure = import_module(f"benchmarks.{name}").measure
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
def test_a_figure_beyond_the_bar_misses_it_and_by_far_beyond_a_quarter(
    better: str, ours: float, missed: bool, far: bool
) -> None:
    """The median counts, so that one disturbed round decides nothing."""
    judged = claim(better, 20, [ours, 0.0, ours, 1000.0, ours])
    assert judged.measured == ours
    assert (judged.misses(), judged.is_far_off(0.25)) == (missed, far)


@pytest.mark.slow
def test_alternatives_run_in_turns_and_are_compared_within_a_round() -> None:
    now = [0.0]
    order: list[str] = []

    def variant(name: str, takes: float) -> Any:
        def run() -> None:
            order.append(name)
            now[0] += takes

        return run

    runs = alternately({"a": variant("a", 1), "b": variant("b", 4)}, rounds=2, tries=1, clock=lambda: now[0])
    assert order == ["a", "b", "a", "b"]
    assert ratios(runs["b"], runs["a"]) == [4, 4]
    assert percentile([5, 1, 2], 0.5) == 2


@pytest.mark.slow
def test_ever_new_values_leave_nothing_in_memory_and_all_count() -> None:
    """The one benchmark whose figures do not depend on the machine; that all were counted, it checks itself."""
    claims = run_benchmark("flat_memory", short=True)
    assert len(claims) == len(STREAMS)
    assert [(claim.what, claim.ours) for claim in claims if claim.misses()] == []


def test_the_page_shows_medians_with_ranges() -> None:
    page = as_markdown([claim("higher", 20, [10, 30, 21])])
    assert "| rendering | at least 20 times | 21 (10 to 30) | kept | another 2 (1 to 3) |" in page
    assert "**missed**" in as_markdown([claim("lower", 20, [21])])
