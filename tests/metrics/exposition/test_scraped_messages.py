"""A real Prometheus that asks for Protocol Buffers has what text says."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary
from prometheus_client.parser import text_string_to_metric_families as text_families

from events import agent_run, llm_called, metrics_rendered
from metrics import LLM, Subscription, serve, subscribe
from metrics.exposition.render import render
from tests.support.ports import free_port
from tests.support.prometheus import Prometheus
from tests.support.wait import wait_until
from tools.monitor import programs

pytestmark = [pytest.mark.slow, pytest.mark.needs("prometheus")]

CONFIGURATION = """
global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: app
  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@contextmanager
def scraping(registry: CollectorRegistry, folder: Path, *features: str) -> Iterator[Prometheus]:
    """Serve a registry, and run a Prometheus with these features that has scraped it once, at least."""
    port = free_port()
    with serve(registry) as server, metrics_rendered.captured() as scrapes:
        (folder / "prometheus.yml").write_text(CONFIGURATION.format(port=server.port))
        feature = f"--enable-feature={','.join(features)}"
        with programs.prometheus(folder, port, feature) as program, Prometheus.at(program.url) as prometheus:
            wait_until(lambda: scrapes, every=0.1)
            wait_until(lambda: prometheus.query('up{job="app"}'), every=0.1)
            prometheus.wait_for_scrapes(1)
            assert {event.format for event in scrapes} == {"other"}
            yield prometheus


def populate(registry: CollectorRegistry) -> None:
    """Register one of every type, with values and bounds that are written in many ways."""
    Info("build", "h", registry=registry).info({"version": '1\n"é\\'})
    Enum("state", "h", ["k"], states=["on", "off"], registry=registry).labels("a").state("off")
    bounds = (0, 1e-6, 0.0005, 0.25, 1, 123456, 999999, 1e6, 67108864, 1e16, 1e21, 1e25)
    Histogram("spread", "h", ["k"], buckets=bounds, registry=registry).labels("").observe(1e6)
    Histogram("below_zero", "h", buckets=(-1, 1), registry=registry).observe(-2)
    Summary("sized", "h", registry=registry).observe(1e-7)
    gauge = Gauge("measured", "h", ["k"], registry=registry)
    for number in (0.0, -1e-9, 1e300, 12345678.9, math.inf, -math.inf):
        gauge.labels(str(number)).set(number)
    Counter("counted", "h", ["k"], registry=registry).labels("a").inc(2**53)


def test_prometheus_has_the_samples_of_text(
    registry: CollectorRegistry, subscription: Subscription, tmp_path: Path
) -> None:
    populate(registry)
    with agent_run(agent_name="copywriter", task="slogan"):
        llm_called.emit(model="a", status="success", duration=0.3, prompt_tokens=12, completion_tokens=3)
    with scraping(registry, tmp_path, "native-histograms") as prometheus:
        read = series(prometheus)
    expected = {
        (sample.name, *sorted((name, value) for name, value in sample.labels.items() if value)): sample.value
        for family in text_families(render(registry).decode())
        for sample in family.samples
    }
    assert without_times(read).keys() == without_times(expected).keys()
    assert steady(read) == steady(expected)


OF_A_SCRAPE = ("sparklio_metrics_render", "sparklio_event", "sparklio_last_event")
"""What a scrape itself changes."""


def without_times(samples: dict[Any, float]) -> dict[Any, float]:
    """Return samples without those of times of creation, which text has alone."""
    return {key: value for key, value in samples.items() if not key[0].endswith("_created")}


def steady(samples: dict[Any, float]) -> dict[Any, float]:
    """Return what is the same in each scrape."""
    return {key: value for key, value in without_times(samples).items() if not key[0].startswith(OF_A_SCRAPE)}


def series(prometheus: Prometheus) -> dict[tuple[Any, ...], float]:
    """Return the newest value of each series of the application, by its name and its labels."""
    query = {"query": '{__name__!~"up|scrape_.*",job="app"}'}
    answer = prometheus.client.post("/api/v1/query", data=query).json()
    found = {}
    for each in answer["data"]["result"]:
        labels = each["metric"]
        name = labels.pop("__name__")
        own = sorted((key, value) for key, value in labels.items() if key not in {"job", "instance"})
        found[name, *own] = float(each["value"][1])
    return found


QUANTILES = (0.1, 0.5, 0.9, 0.99)


def test_prometheus_takes_exponential_buckets_and_is_right_about_quantiles(
    registry: CollectorRegistry, tmp_path: Path
) -> None:
    """Quantiles of a sum of rates over series of several models, within 2 percent of those of the durations."""
    durations = sorted(0.001 * 1.013**number for number in range(1000))  # from 1 ms to 5 min
    with (
        subscribe(LLM, registry, namespace="acme", native_histograms=True),
        scraping(registry, tmp_path, "native-histograms") as prometheus,
    ):
        llm_called.emit(model="model 0", status="success", duration=1.0)
        llm_called.emit(model="model 1", status="success", duration=1.0)
        prometheus.wait_for_scrapes(2)
        for number, duration in enumerate(durations):
            llm_called.emit(model=f"model {number % 2}", status="success", duration=duration)
        prometheus.wait_for_scrapes(2)
        name = "acme_llm_request_duration_seconds"
        assert prometheus.query(f"sum(histogram_count({name}))") == {(): 1002.0}
        assert prometheus.query(f"sum(histogram_sum({name}))")[()] == pytest.approx(sum(durations) + 2)
        assert prometheus.query('{__name__=~"acme_.*_(bucket|sum|count)"}') == {}  # nor of those without an observation
        for quantile in QUANTILES:
            [found] = prometheus.query(f"histogram_quantile({quantile}, sum(rate({name}[1m])))").values()
            expected = durations[round(quantile * len(durations)) - 1]
            assert found == pytest.approx(expected, rel=0.02), quantile
        both = (
            f"histogram_quantile(0.9, sum by (le) (rate({name}_bucket[1m]))) or "
            f"histogram_quantile(0.9, sum(rate({name}[1m])))"
        )
        assert len(prometheus.query(both)) == 1


def test_prometheus_stores_the_exemplars(registry: CollectorRegistry, tmp_path: Path) -> None:
    counter = Counter("calls", "h", ["model"], registry=registry)
    histogram = Histogram("took_seconds", "h", ["model"], buckets=(0.1, 1, 10), registry=registry)
    counter.labels("a").inc(1, {"trace_id": "of the counter"})
    histogram.labels("a").observe(0.5, {"trace_id": "of the bucket"})
    with scraping(registry, tmp_path, "native-histograms", "exemplar-storage") as prometheus:
        query = {"query": '{model="a"}', "start": "0", "end": "9999999999"}
        answer = prometheus.client.get("/api/v1/query_exemplars", params=query).json()
    stored = {
        (each["seriesLabels"]["__name__"], exemplar["labels"]["trace_id"], exemplar["value"])
        for each in answer["data"]
        for exemplar in each["exemplars"]
    }
    assert stored == {("calls_total", "of the counter", "1"), ("took_seconds_bucket", "of the bucket", "0.5")}
