"""Exponential buckets: an amount is in the one whose bounds are around it, at every resolution."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.fastpath.exponential import (
    MAX_SCHEMA,
    MIN_SCHEMA,
    ZERO_THRESHOLD,
    bucket_index,
    coarser_index,
    folded,
    lowest_index,
    upper_bounds,
)

SCHEMAS = st.integers(MIN_SCHEMA, MAX_SCHEMA)
AMOUNTS = st.floats(0, 2.0**62) | st.floats(1e-6, 1e4) | st.integers(-60, 61).map(lambda power: 2.0**power)


@given(AMOUNTS, SCHEMAS)
def test_an_amount_is_in_the_bucket_whose_bounds_are_around_it(amount: float, schema: int) -> None:
    bounds = upper_bounds(schema, 2.0**63)
    place = bucket_index(amount, schema) - lowest_index(schema)
    assert place == bisect_left(bounds, amount)
    assert amount <= bounds[place]
    assert place == 0 or bounds[place - 1] < amount


@pytest.mark.parametrize("schema", range(MIN_SCHEMA, MAX_SCHEMA + 1))
def test_the_bounds_grow_by_one_factor_from_the_zero_bucket_on(schema: int) -> None:
    bounds = upper_bounds(schema, 1000.0)
    assert bounds[0] == ZERO_THRESHOLD
    assert 1.0 in bounds
    assert bounds[-2] < 1000 <= bounds[-1]
    factors = {round(second / first, 12) for first, second in pairwise(bounds)}
    assert factors == {round(2.0**2.0**-schema, 12)}


@given(AMOUNTS, SCHEMAS.filter(lambda schema: schema > MIN_SCHEMA))
def test_two_buckets_are_one_at_the_next_lower_schema(amount: float, schema: int) -> None:
    assert coarser_index(bucket_index(amount, schema), 1) == bucket_index(amount, schema - 1)


@pytest.mark.slow
@given(st.lists(st.tuples(AMOUNTS, SCHEMAS), max_size=40), SCHEMAS, st.integers(1, 12))
def test_counts_of_several_schemas_add_up_at_the_finest_that_has_few_enough(
    observed: list[tuple[float, int]], schema: int, limit: int
) -> None:
    counts: dict[tuple[int, int], float] = {}
    for amount, finest in observed:
        key = finest, bucket_index(amount, finest)
        counts[key] = counts.get(key, 0) + 1
    found, merged = folded(counts, schema, limit)
    coarsest = min([schema, *(finest for _, finest in observed)])
    assert found <= coarsest

    def expected(at: int) -> dict[int, float]:
        indexes = [bucket_index(amount, at) for amount, _ in observed]
        return {index: indexes.count(index) for index in indexes}

    assert merged == expected(found)
    if found < coarsest:
        assert len(expected(found + 1).keys() - {lowest_index(found + 1)}) > limit
    assert found == MIN_SCHEMA or len(merged.keys() - {lowest_index(found)}) <= limit
