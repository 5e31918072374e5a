"""What happened between two scrapes is computed as Prometheus would compute it."""

from __future__ import annotations

import math

import pytest
from prometheus_client.parser import text_string_to_metric_families

from metrics.diagnostics.scrape_client import ScrapeResult
from metrics.diagnostics.scrape_rates import Line, quantile, read_lines

BEFORE = """
# TYPE acme_calls_total counter
acme_calls_total{model="a",status="ok"} 10
acme_calls_total{model="b",status="ok"} 5
# TYPE acme_open gauge
acme_open{pool="main"} 3
# TYPE acme_seconds histogram
acme_seconds_bucket{model="a",le="1.0"} 4
acme_seconds_bucket{model="a",le="2.0"} 4
acme_seconds_bucket{model="a",le="+Inf"} 4
acme_seconds_count{model="a"} 4
acme_seconds_sum{model="a"} 2
# TYPE acme_build_info gauge
acme_build_info{version="1"} 1
"""
AFTER = """
# TYPE acme_calls_total counter
acme_calls_total{model="a",status="ok"} 30
acme_calls_total{model="b",status="ok"} 2
acme_calls_total{model="c",status="ok"} 8
# TYPE acme_open gauge
acme_open{pool="main"} 7
# TYPE acme_seconds histogram
acme_seconds_bucket{model="a",le="1.0"} 6
acme_seconds_bucket{model="a",le="2.0"} 14
acme_seconds_bucket{model="a",le="+Inf"} 14
acme_seconds_count{model="a"} 14
acme_seconds_sum{model="a"} 17
# TYPE acme_build_info gauge
acme_build_info{version="1"} 1
"""


def scrape(text: str, at: float) -> ScrapeResult:
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return ScrapeResult(at, at, None, tuple(samples))


def test_counters_and_histograms_are_summed_and_gauges_are_not() -> None:
    """A counter that is less than before began anew; the numbers of builds and the like are left out."""
    assert list(read_lines(scrape(BEFORE, 100.0), scrape(AFTER, 110.0))) == [
        Line("acme_open", (("pool", "main"),), value=7),
        Line("acme_calls_total", (), value=40, rate=(20 + 2 + 8) / 10),
        Line("acme_seconds", (), value=14, rate=1.0, quantiles=(1.375, 1.9375), mean=1.5),
    ]


def test_a_label_has_a_line_for_each_of_its_values() -> None:
    lines = read_lines(scrape(BEFORE, 0.0), scrape(AFTER, 1.0), by=["model"])
    rates = {dict(line.labels)["model"]: line.rate for line in lines if line.family == "acme_calls_total"}
    assert rates == {"a": 20, "b": 2, "c": 8}


def test_an_interval_without_observations_has_neither_quantile_nor_mean() -> None:
    line = [*read_lines(scrape(AFTER, 0.0), scrape(AFTER, 1.0))][-1]
    assert (line.rate, line.quantiles, line.mean) == (0, (None, None), None)


@pytest.mark.parametrize(
    ("share", "buckets", "expected"),
    [
        (0.5, {1.0: 10, 2.0: 20, math.inf: 20}, 1.0),
        (0.75, {1.0: 10, 2.0: 20, math.inf: 20}, 1.5),
        (0.25, {1.0: 10, 2.0: 20, math.inf: 20}, 0.5),
        (0.95, {1.0: 10, 2.0: 10, math.inf: 20}, 2.0),
        (1.0, {1.0: 10, 2.0: 20, math.inf: 20}, 2.0),
        (0.5, {1.0: 0, 2.0: 0, math.inf: 0}, None),
        (0.5, {}, None),
        (0.0, {1.0: 0, 2.0: 4, math.inf: 4}, 1.0),
        (0.5, {-2.0: 10, -1.0: 20, math.inf: 20}, -2.0),
        (0.75, {-2.0: 10, -1.0: 20, math.inf: 20}, -1.5),
    ],
)
def test_a_quantile_is_that_of_histogram_quantile(
    share: float, buckets: dict[float, float], expected: float | None
) -> None:
    assert quantile(share, buckets) == expected
