"""The short way into an instrument does what prometheus_client's own methods do."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.values import MutexValue

from metrics.stock import moving

AMOUNTS = st.floats(0, 2.0**62) | st.integers(0, 2**62) | st.sampled_from([0, 0.5, 1, 2.5])
LADDERS = st.lists(st.floats(0, 1e9), min_size=1, unique=True).map(sorted)


def made(kind: type[Any], registry: CollectorRegistry, ladder: list[float]) -> list[Any]:
    """One instrument without labels, and two children of another."""
    shape = {"buckets": ladder} if kind is Histogram else {}
    labelled = kind("labelled", "h", ["label"], registry=registry, **shape)
    return [kind("bare", "h", registry=registry, **shape), labelled.labels("a"), labelled.labels("b")]


@pytest.mark.parametrize("kind", [Counter, Gauge, Histogram])
@given(amounts=st.lists(AMOUNTS, max_size=30), ladder=LADDERS)
def test_both_ways_write_the_same_text(kind: type[Any], amounts: list[float], ladder: list[float]) -> None:
    """Whatever is taken, by whichever child, bounds themselves among it."""
    texts = []
    for way in (moving.taker, moving.public):
        registry = CollectorRegistry()
        ways = [way(child) for child in made(kind, registry, ladder)]
        for place, amount in enumerate([*amounts, *ladder]):
            ways[place % 3](amount)
        texts.append([line for line in generate_latest(registry).splitlines() if b"_created" not in line])
    assert moving.trusted()
    assert texts[0] == texts[1]


def test_a_tick_is_one() -> None:
    """Each call counts once."""
    child = Counter("ticks", "h", registry=None)
    tick = moving.ticker(child)
    tick()
    tick()
    assert next(sample.value for family in child.collect() for sample in family.samples) == 2


def test_where_the_parts_are_others_the_public_way_is_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A version whose values do otherwise costs time, and a warning, but no number."""
    moving.trusted.cache_clear()
    try:
        with monkeypatch.context() as changed, caplog.at_level(logging.WARNING, "metrics"):
            changed.setattr(MutexValue, "inc", lambda self, amount: self.set(self.get() + 2 * amount))
            changed.setattr(Counter, "inc", lambda self, amount=1: self._value.set(self._value.get() + amount))
            child = Counter("counted", "h", registry=None)
            moving.ticker(child)()
            moving.taker(child)(3)
            assert child._value.get() == 4
        assert "the slow way" in caplog.text
    finally:
        moving.trusted.cache_clear()
