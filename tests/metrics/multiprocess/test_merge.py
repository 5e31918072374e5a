"""Values of several files are combined by their mode, and the newest exemplar wins."""

from __future__ import annotations

from math import inf, nan
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client import Counter, Gauge

from metrics.multiprocess import AggregationMode, Workers
from metrics.multiprocess.file_layout import ARCHIVED_MODES
from metrics.multiprocess.merge import exact_sum, merge_gauges


@pytest.mark.parametrize(
    ("mode", "values", "merged"),
    [
        ("livesum", [2, 3, -1], 4),
        ("livemax", [2, 7, 3], 7),
        ("livemin", [2, 0, 3], 0),
        ("max", [-2, -7], -2),
        ("min", [5, 3, 4], 3),
        ("min", [0, 3, 4], 3),
        ("min", [3, 0], 3),
        ("min", [0, 0], 0),
    ],
)
def test_gauges_are_merged_by_their_mode(mode: AggregationMode, values: list[float], merged: float) -> None:
    """A smallest value of 0 has not been set yet."""
    gauges: dict[int, tuple[float, float]] = {}
    for value in values:
        merge_gauges(gauges, [(0, 1, mode)], [value])
    assert gauges == {1: (merged, 0.0)}


@pytest.mark.parametrize(("times", "merged"), [([1, 2], 20), ([2, 1], 10), ([1, 1], 20)])
def test_the_most_recent_gauge_wins_and_of_two_at_once_the_later_file(times: list[float], merged: float) -> None:
    gauges: dict[int, tuple[float, float]] = {}
    for value, time in zip((10, 20), times, strict=True):
        merge_gauges(gauges, [(1, 1, "livemostrecent")], [9.0, value, time, 9.0])
    assert gauges == {1: (merged, max(times))}


def test_a_removed_gauge_is_not_merged() -> None:
    gauges: dict[int, tuple[float, float]] = {}
    merge_gauges(gauges, [(0, 1, "livesum"), (1, 2, "livesum")], [nan, 5])
    assert gauges == {2: (5, 0.0)}


def test_a_sum_is_exact_and_a_torn_file_does_not_fail_it() -> None:
    assert exact_sum([0.1] * 10) == 1.0
    assert exact_sum([1e308, 1e308, -1e308]) == inf
    assert exact_sum([inf, -inf]) != exact_sum([inf, -inf])  # NaN


@pytest.mark.parametrize("mode", [mode for part in get_args(AggregationMode) for mode in get_args(part) or [part]])
def test_a_gauge_of_a_dead_worker_counts_only_in_an_archived_mode(folder: Path, mode: AggregationMode) -> None:
    kind = Counter if mode == "total" else Gauge
    here, other = Workers(folder), Workers(folder)
    _, total = here.create_instruments(kind, "depth", "d", ["queue"], mode)
    local, _ = other.create_instruments(kind, "depth", "d", ["queue"], mode)
    local.labels("a").inc(7)

    def values() -> list[float]:
        here.collect()
        [family] = total.collect()
        return [sample.value for sample in family.samples if not sample.name.endswith("_created")]

    assert values() == [7.0]
    other.close()
    assert values() == [7.0] * (mode in ARCHIVED_MODES)
    here.close()
