"""The kit's forms for histograms give the right answer, whichever kind of histogram a real Prometheus stores."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from statistics import mean

import pytest

from benchmarks.sizing.quantiles import (
    ALIKE,
    FAMILY,
    KINDS,
    LADDER,
    OBSERVATIONS,
    SHARES,
    WINDOW,
    ObservedStores,
    observed_stores,
)
from metrics import CATALOGUE, OPTIONAL
from metrics.kit import promql
from metrics.kit.placeholders import HISTOGRAM_SUFFIXES
from tests.metrics.kit.conftest import expressions
from tools.monitor import programs

NATIVE_ERROR = 0.02
"""The most by which a quantile may be wrong by exponential buckets, as a share of it, where observations spread."""
NATIVE_STEP = 2 ** (1 / 8)
"""The quotient of a bucket's bounds at schema 3: no quantile is wrong by more, even where observations are alike."""
EXTRAPOLATED = 0.25
"""A share of a rate: Prometheus extends what it saw to the window's edges, here of ten scrapes by up to two."""


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObservedStores]:
    with observed_stores(tmp_path_factory.mktemp("prometheus"), programs.installed("prometheus")) as stores:
        yield stores


def bucket_of(value: float) -> int:
    """Return which classic bucket a value is in."""
    return bisect_left(LADDER, value)


def test_each_expression_of_the_kit_that_asks_for_a_classic_histogram_asks_for_a_native_one_too() -> None:
    """With the same selector, as the forms have it."""
    families = {f"sparklio_{row.name}" for row in CATALOGUE + OPTIONAL if row.kind == "histogram"}
    asked = 0
    for expression in expressions():
        if expression.place.startswith("docs/") and not expression.place.startswith("docs/runbooks/"):
            continue  # pages show one kind of histogram where that is what they are about
        for name, selector in re.findall(r"\b(\w+)_(?:bucket|count|sum)(\{[^}]*\})?\[", expression.text):
            if name in families:
                asked += 1
                assert f"({name}{selector}[" in re.sub(r"\s+", "", expression.text), expression
    assert asked > 60


@pytest.mark.slow
@pytest.mark.needs("prometheus")
@pytest.mark.timeout(180)
class TestOfARealPrometheus:
    def test_quantiles_of_native_histograms_are_near_the_right_ones(self, observed: ObservedStores) -> None:
        worst = observed.worst_errors("native")
        assert worst.keys() == KINDS.keys()
        assert worst.pop(ALIKE) < NATIVE_STEP - 1
        assert max(worst.values()) <= NATIVE_ERROR, worst

    def test_quantiles_of_classic_histograms_are_in_the_right_bucket(self, observed: ObservedStores) -> None:
        for job in {*observed.stores.jobs} - {"native"}:
            for share in SHARES:
                found = observed.ask(promql.quantile, share, job=job)
                assert found.keys() == KINDS.keys()
                for kind, value in found.items():
                    right = bucket_of(observed.true_quantile(share, kind))
                    assert bucket_of(value) == right, (job, share, kind, value)

    def test_means_are_right_whatever_is_stored(self, observed: ObservedStores) -> None:
        right = {kind: mean(values) for kind, values in observed.observed.items()}
        for job in observed.stores.jobs:
            assert observed.ask(promql.mean, job=job) == pytest.approx(right, rel=0.01), job

    def test_rates_of_observations_and_of_their_sum_are_the_same_whatever_is_stored(
        self, observed: ObservedStores
    ) -> None:
        for form, right in ((promql.observations, OBSERVATIONS), (promql.observed, sum)):
            for job in observed.stores.jobs:
                found = observed.ask(form, job=job)
                expected = {
                    kind: (right(values) if callable(right) else right) / WINDOW
                    for kind, values in observed.observed.items()
                }
                assert found == pytest.approx(expected, rel=EXTRAPOLATED), (job, form)

    def test_a_heatmap_has_all_observations_whatever_is_stored(self, observed: ObservedStores) -> None:
        for job in observed.stores.jobs:
            asked = promql.buckets(FAMILY, f'job="{job}"', f"{WINDOW}s").replace("NS_", "acme_")
            found = observed.stores.prometheus.query(asked, observed.at)
            assert max(found.values()) == pytest.approx(OBSERVATIONS * len(KINDS), rel=EXTRAPOLATED), job

    def test_nothing_is_stored_that_was_not_asked_for(self, observed: ObservedStores) -> None:
        found = {
            job: {
                name
                for name in (f"acme_{FAMILY}{end}" for end in ("", *HISTOGRAM_SUFFIXES))
                if observed.stores.prometheus.query(f'{name}{{job="{job}"}}', observed.at)
            }
            for job in ("classic", "native")
        }
        assert found["native"] == {f"acme_{FAMILY}"}
        assert found["classic"] == {f"acme_{FAMILY}{end}" for end in HISTOGRAM_SUFFIXES}
