"""Histograms count in exponential buckets too, where that is asked for; text is what it was."""

from __future__ import annotations

from collections import Counter as Tally
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from events import llm_called
from metrics import LLM, subscribe
from metrics.exposition.render import render
from metrics.fastpath.exponential import bucket_index, lowest_index
from metrics.fastpath.native_buckets import NativeFamily, enable
from metrics.fastpath.plan import AmountUpdate, UpdatePlan
from metrics.fastpath.public_update import UpdateFn, public_update
from metrics.fastpath.update import fast_update
from metrics.text_format.formats import PROTOBUF
from tests.support.protobuf_scrapes import classic_counts, exponential_counts, read_scrape

LIMIT = 1e9
BOUNDS = (0.1, 1, 10)
AMOUNTS = st.floats(0, LIMIT, exclude_max=True) | st.floats(1e-3, 1e2) | st.integers(0, 1000)


def histogram(registry: CollectorRegistry, schema: int = 3, max_buckets: int = 160) -> tuple[Histogram, UpdatePlan]:
    """Return a histogram with exponential buckets, and the plan that observes ``amount``."""
    found = Histogram("took_seconds", "h", ["k"], buckets=BOUNDS, registry=registry)
    native = NativeFamily(schema, max_buckets)
    enable(found, native)
    update = AmountUpdate("took_seconds", found.labels("a"), "amount", 0.0, LIMIT, native)
    return found, UpdatePlan(amounts=(update,), on_dropped=ignore, on_failure=ignore)


def ignore(*_: object) -> None: ...


def scraped(registry: CollectorRegistry) -> Any:
    """Return the message of the only histogram in a registry."""
    [family] = read_scrape(render(registry, PROTOBUF)).families
    [metric] = family.metric
    return metric.histogram


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(AMOUNTS, max_size=60), st.integers(-4, 5), st.integers(1, 20))
def test_each_amount_is_in_its_bucket_at_the_resolution_that_the_limit_leaves(
    amounts: list[float], schema: int, max_buckets: int
) -> None:
    registry = CollectorRegistry()
    _, plan = histogram(registry, schema, max_buckets)
    update = fast_update(plan)
    for place, amount in enumerate(amounts):
        update(SimpleNamespace(amount=amount))
        if place % 7 == 0:
            scraped(registry)  # what is cached is written anew
    message = scraped(registry)
    expected = Tally(bucket_index(amount, message.schema) for amount in amounts)
    assert message.zero_count == expected.pop(lowest_index(message.schema), 0)
    assert exponential_counts(message) == expected
    assert message.schema == -4 or len(expected) <= max_buckets
    assert message.sample_count == len(amounts)
    assert message.sample_sum == pytest.approx(sum(amounts))
    assert [count for _, count in classic_counts(message)] == [
        sum(amount <= bound for amount in amounts) for bound in (*BOUNDS, float("inf"))
    ]


def test_classic_buckets_may_be_left_out_where_there_are_exponential_ones(registry: CollectorRegistry) -> None:
    _, plan = histogram(registry, 3, 160)
    fast_update(plan)(SimpleNamespace(amount=0.3))
    classic = Histogram("classic", "h", buckets=BOUNDS, registry=registry)
    classic.observe(1)
    native = replace(PROTOBUF, with_classic=False)
    for _ in range(2):  # what is cached is of each by itself
        both, alone = (read_scrape(render(registry, each)).families for each in (PROTOBUF, native))
        [with_both, of_classic], [without, still_classic] = (
            [each.metric[0].histogram for each in of] for of in (both, alone)
        )
        assert without.bucket == []
        assert len(classic_counts(with_both)) == len(BOUNDS) + 1
        without.bucket.extend(with_both.bucket)
        assert without == with_both
        assert still_classic == of_classic


@pytest.mark.parametrize("make", [fast_update, public_update])
def test_amounts_of_other_types_are_in_their_bucket_too(registry: CollectorRegistry, make: Any) -> None:
    _, plan = histogram(registry)
    update: UpdateFn = make(plan)
    for amount in (Decimal("0.3"), Fraction(3, 10), 0.3, True, None, float("nan"), -1):
        update(SimpleNamespace(amount=amount))
    message = scraped(registry)
    assert exponential_counts(message) == {bucket_index(0.3, 3): 3, bucket_index(1, 3): 1}
    assert message.sample_count == 4


def test_what_was_observed_by_hand_is_in_the_classic_buckets_alone(registry: CollectorRegistry) -> None:
    """The count is that of the exponential ones: Prometheus refuses a histogram where it is not."""
    found, plan = histogram(registry)
    fast_update(plan)(SimpleNamespace(amount=0.3))
    found.labels("a").observe(99)
    message = scraped(registry)
    assert exponential_counts(message) == {bucket_index(0.3, 3): 1}
    assert message.sample_count == 1
    assert [count for _, count in classic_counts(message)] == [0, 1, 1, 2]


def test_a_series_without_an_observation_is_no_classic_one(registry: CollectorRegistry) -> None:
    """Prometheus would have its buckets as series until the first observation."""
    histogram(registry)
    message = scraped(registry)
    assert (message.sample_count, message.zero_threshold > 0, message.positive_span) == (0, True, [])


def test_two_plans_of_one_series_count_in_the_same_buckets(registry: CollectorRegistry) -> None:
    _, plan = histogram(registry, max_buckets=2)
    first, second = fast_update(plan), fast_update(plan)
    for amount in (1, 2, 4, 8, 16):
        first(SimpleNamespace(amount=amount))
        second(SimpleNamespace(amount=amount))
    message = scraped(registry)
    assert message.sample_count == sum(exponential_counts(message).values()) == 10
    assert message.schema == -2


def test_text_is_the_same_with_them_and_without() -> None:
    texts = []
    for native_histograms in (False, True):
        registry = CollectorRegistry()
        with subscribe(LLM, registry, namespace="acme", native_histograms=native_histograms):
            for duration in (0.01, 0.3, 70):
                llm_called.emit(model="a", status="success", duration=duration)
            assert render(registry) == generate_latest(registry)
            texts.append([line for line in render(registry).splitlines() if b"_created" not in line])
    assert texts[0] == texts[1]


def test_a_row_says_how_fine_its_buckets_are(registry: CollectorRegistry) -> None:
    rows = [replace(row, native_schema=0, native_max_buckets=2) for row in LLM if row.value == "duration"]
    with subscribe(rows, registry, namespace="acme", native_histograms=True):
        for duration in (0.3, 3, 30):
            llm_called.emit(model="a", status="success", duration=duration)
        families = {family.name: family for family in read_scrape(render(registry, PROTOBUF)).families}
    [metric] = families["acme_llm_request_duration_seconds"].metric
    assert metric.histogram.schema == -3
    assert len(exponential_counts(metric.histogram)) == 2


def test_without_them_nothing_is_kept_or_shown(registry: CollectorRegistry) -> None:
    with subscribe(LLM, registry, namespace="acme") as subscription:
        llm_called.emit(model="a", status="success", duration=0.3)
        child = subscription.collector("llm_request_duration_seconds").labels("a")
        messages = [
            metric.histogram
            for family in read_scrape(render(registry, PROTOBUF)).families
            for metric in family.metric
            if metric.histogram is not None
        ]
    assert not any("native" in name for name in vars(child))
    assert messages
    assert not any(message.zero_threshold or message.positive_span for message in messages)
