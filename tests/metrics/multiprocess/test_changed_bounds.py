"""A histogram whose bounds an update has changed goes on: what processes of before counted is in its totals."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from metrics import render
from metrics.multiprocess import Workers

MANY = (.001, .0025, .005, .01, .025, .05, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 30, 60, 120, 180, 300)  # fmt: skip
AMOUNTS = (0.0, .001, .003, .04, .3, .6, .8, 1.5, 4.0, 9.0, 25.0, 100.0, 299.0, 4000.0)  # fmt: skip


class Timed:
    """A worker whose histogram has these bounds."""

    def __init__(self, folder: Path, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.workers = Workers(folder, application="shop")
        self.registry = CollectorRegistry()
        self.workers.attach(self.registry)
        self.local, total = self.workers.create_instruments(
            Histogram, "took_seconds", "h", ["k"], "total", buckets=bounds
        )
        self.registry.register(total)

    def observe(self) -> None:
        for amount in AMOUNTS:
            self.local.labels("a").observe(amount)

    def shown(self) -> tuple[dict[float, float], float, float]:
        """Return the cumulative counts by their bounds, the count and the sum, as a scrape has them."""
        samples = [line.rpartition(" ") for line in render(self.registry).decode().splitlines() if line[0] != "#"]
        values = {name: float(value) for name, _, value in samples}
        buckets = {
            float(name.split('"')[3]): value for name, value in values.items() if name.startswith("took_seconds_bucket")
        }
        return buckets, values['took_seconds_count{k="a"}'], values['took_seconds_sum{k="a"}']


@contextmanager
def timed(folder: Path, bounds: tuple[float, ...]) -> Iterator[Timed]:
    worker = Timed(folder, bounds)
    yield worker
    worker.workers.close()


def counts_of(bounds: tuple[float, ...], shown: tuple[float, ...]) -> dict[float, int]:
    """Return the cumulative counts of `AMOUNTS` in a histogram with these bounds, at the bounds that are shown.

    A bound that the histogram lacks has the count of its next one below.
    """
    nearest = {bound: bounds[place - 1] if (place := bisect_right(bounds, bound)) else -inf for bound in shown}
    return {bound: sum(amount <= below for amount in AMOUNTS) for bound, below in nearest.items()} | {inf: len(AMOUNTS)}


@pytest.mark.parametrize(
    "bounds",
    [
        MANY[::3],  # each is among those of before
        (.0005, .003, .05, .2, 1, 6, 60, 900),  # some are
        (.002, .7, 299.5),  # none is
        (*MANY, 600),
        (1000,),
    ],
)  # fmt: skip
def test_a_histogram_goes_on_where_its_bounds_are_others_than_before(
    folder: Path, faults: list[str], bounds: tuple[float, ...]
) -> None:
    """As after an update that has other bounds: twice restarted, and then back to the bounds of before."""
    with timed(folder, MANY) as older:
        older.observe()
        assert older.shown()[0] == counts_of(MANY, MANY)
    before, own = counts_of(MANY, bounds), counts_of(bounds, bounds)
    for restarts in (0, 1):
        with timed(folder, bounds) as newer:
            for observed in (restarts, restarts + 1):
                buckets, count, total = newer.shown()
                assert buckets == {bound: before[bound] + observed * own[bound] for bound in before}
                assert [*buckets.values()] == sorted(buckets.values())
                assert count == (observed + 1) * len(AMOUNTS) == buckets[inf]
                assert total == pytest.approx((observed + 1) * sum(AMOUNTS))
                if observed == restarts:
                    newer.observe()
    with timed(folder, MANY) as back:
        once, twice = counts_of(MANY, MANY), counts_of(bounds, MANY)
        assert back.shown()[0] == {bound: once[bound] + 2 * twice[bound] for bound in once}
    assert faults == []


def test_processes_of_both_bounds_that_live_at_once_show_the_counts_of_all(folder: Path, faults: list[str]) -> None:
    """As in a rolling restart: each shows them in its own bounds, and no count goes down when the other one ends."""
    few = (.0025, .3, 6, 60)  # fmt: skip
    with timed(folder, few) as newer:
        with timed(folder, MANY) as older:
            for worker in (older, newer, older):
                worker.observe()
            for worker in (older, newer):
                of_older, of_newer = (counts_of(each.bounds, worker.bounds) for each in (older, newer))
                buckets, count, total = worker.shown()
                assert buckets == {bound: 2 * of_older[bound] + of_newer[bound] for bound in of_older}
                assert count == 3 * len(AMOUNTS)
                assert total == pytest.approx(3 * sum(AMOUNTS))
            both = newer.shown()
        assert newer.shown() == both
    assert faults == []


def test_a_histogram_that_became_a_counter_is_unknown(folder: Path, faults: list[str]) -> None:
    """Nor does one go on that has other labels: neither is the same family."""
    with timed(folder, MANY) as older:
        older.observe()
    for kind, labels in ((Counter, ["k"]), (Histogram, ["other"])):
        newer = Workers(folder, application="shop")
        _, total = newer.create_instruments(kind, "took_seconds", "h", labels, "total")
        newer.collect()
        assert [sample for family in total.collect() for sample in family.samples] == []
        newer.close()
    assert set(faults) == {"unknown"}
