"""A scrape by Protocol Buffers has the samples of one by text, as the published schema reads them."""

from __future__ import annotations

import math
from collections import Counter as Tally
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, Summary
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families
from prometheus_client.samples import Exemplar

from events import agent_run, llm_called, metrics_rendered
from metrics import Subscription, scrape
from metrics.exposition.render import RenderedRegistry, render, render_with_count
from metrics.fastpath import write_protobuf
from metrics.text_format.formats import OPENMETRICS, PROTOBUF, TEXT, Escaping, Format
from tests.support.drawn_registries import FixedCollector, draw_collector, populate
from tests.support.protobuf_scrapes import ReadSample, read_scrape

ACCEPT = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"


def comparable(samples: Iterable[Any]) -> Tally[tuple[object, ...]]:
    """Return samples, of either reading, in a form in which two of them can be compared."""
    return Tally(
        (
            sample.name,
            sample.labels if isinstance(sample, ReadSample) else tuple(sorted(sample.labels.items())),
            "nan" if math.isnan(sample.value) else sample.value,
            round(sample.timestamp or 0, 3),
        )
        for sample in samples
    )


def samples_of_text(registry: CollectorRegistry, names: Iterable[str] | None = None) -> list[Any]:
    text = render(registry, TEXT, None if names is None else set(names)).decode()
    return [sample for family in text_families(text) for sample in family.samples]


def assert_same_samples(registry: CollectorRegistry, names: Iterable[str] | None = None) -> None:
    """Compare both scrapes; times of creation are samples in text, and parts of theirs in messages."""
    rendered = render_with_count(registry, PROTOBUF, None if names is None else set(names))
    read = read_scrape(rendered.body)
    created = {
        (f"{name.removesuffix('_total')}_created", labels): time for (name, labels), time in read.created.items()
    }
    in_text = samples_of_text(registry, names)
    times = {
        key: sample.value
        for sample in in_text
        if (key := (sample.name, tuple(sorted(sample.labels.items())))) in created
    }
    expected = [sample for sample in in_text if (sample.name, tuple(sorted(sample.labels.items()))) not in created]
    assert comparable(read.samples) == comparable(expected)
    assert rendered.sample_count == len(read.samples)
    if times:  # none where they are disabled in text
        assert times == pytest.approx(created, abs=1.1e-3)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_registry_has_the_same_samples(data: st.DataObject) -> None:
    """Also a second time, when messages are cached, and of some names alone."""
    registry = CollectorRegistry(target_info=data.draw(st.none() | st.just({"version": "1"})))
    populate(registry, data)
    registry.register(draw_collector(data))  # type: ignore[arg-type, unused-ignore]
    assert_same_samples(registry)
    assert_same_samples(registry)
    names = sorted({sample.name for sample in samples_of_text(registry)})
    assert_same_samples(registry, data.draw(st.sets(st.sampled_from(names or ["none"]))))


@pytest.mark.slow
def test_the_catalogue_has_the_same_samples(registry: CollectorRegistry, subscription: Subscription) -> None:
    """After each of two rounds of events: what is cached is written anew where it has changed."""
    assert write_protobuf.fast_write_works()
    for duration in (0.3, 70.0):
        with agent_run(agent_name="copywriter", task="slogan"):
            llm_called.emit(model='a\n"é', status="success", duration=duration, prompt_tokens=12, completion_tokens=3)
        subscription.initialize(tool_name=[f"tool {duration}"])
        assert_same_samples(registry)


def test_the_slow_way_writes_the_same(
    registry: CollectorRegistry, subscription: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm_called.emit(model="a", status="success", duration=0.3, prompt_tokens=12, completion_tokens=3)
    Summary("sized", "h", ["k"], registry=registry).labels("a").observe(3)
    fast = read_scrape(render(registry, PROTOBUF))
    monkeypatch.setattr(write_protobuf, "fast_write_works", lambda: False)
    slow = read_scrape(render(registry, PROTOBUF))
    assert fast.samples == slow.samples
    assert fast.created.keys() >= slow.created.keys()


def test_exemplars_are_those_of_openmetrics(registry: CollectorRegistry) -> None:
    counter = Counter("calls", "h", ["model"], registry=registry)
    histogram = Histogram("took_seconds", "h", ["model"], buckets=(0.1, 1, 10), registry=registry)
    for number in range(3):
        counter.labels("é").inc(1, {"trace_id": f"{number:016}", "span_id": "b"})
        histogram.labels("a").observe(number, {"trace_id": f"{number:016}"})
    text: Any = openmetrics_families(render(registry, OPENMETRICS).decode())  # type: ignore[no-untyped-call]
    expected: Any = {
        (sample.name, tuple(sorted(sample.labels.items()))): (
            tuple(sorted(sample.exemplar.labels.items())),
            sample.exemplar.value,
            pytest.approx(float(sample.exemplar.timestamp), abs=1e-5),
        )
        for family in text
        for sample in family.samples
        if sample.exemplar
    }
    read = read_scrape(render(registry, PROTOBUF)).samples
    assert {(sample.name, sample.labels): sample.exemplar for sample in read if sample.exemplar} == expected
    assert len(expected) == 4


def test_so_are_those_of_somebody_else_s_collector(registry: CollectorRegistry) -> None:
    exemplar = Exemplar({"trace_id": "é"}, 0.5, 1.25)
    histogram, counter = Metric("took_seconds", "h", "histogram"), Metric("calls", "h", "counter")
    histogram.add_sample("took_seconds_bucket", {"le": "1.0"}, 1.0, exemplar=exemplar)
    histogram.add_sample("took_seconds_bucket", {"le": "+Inf"}, 1.0)
    histogram.add_sample("took_seconds_count", {}, 1.0)
    histogram.add_sample("took_seconds_sum", {}, 0.5)
    counter.add_sample("calls_total", {}, 1.0, exemplar=exemplar)
    registry.register(FixedCollector(histogram, counter))
    read = read_scrape(render(registry, PROTOBUF)).samples
    assert {(sample.name, sample.labels): sample.exemplar for sample in read if sample.exemplar} == dict.fromkeys(
        [("took_seconds_bucket", (("le", "1.0"),)), ("calls_total", ())], ((("trace_id", "é"),), 0.5, 1.25)
    )


@pytest.mark.parametrize("time", [1e30, -1e30, math.inf, math.nan])
def test_a_time_that_no_scraper_could_read_is_left_out(registry: CollectorRegistry, time: float) -> None:
    """Of somebody else's collector: a message that is broken would fail the whole scrape."""
    counter, gauge = Metric("calls", "h", "counter"), Metric("depth", "h", "gauge")
    counter.add_sample("calls_total", {}, 1.0, exemplar=Exemplar({"a": "b"}, 1.0, time))
    gauge.add_sample("depth", {}, 1.0, timestamp=time)
    registry.register(FixedCollector(counter, gauge))
    Counter("others", "h", registry=registry)
    samples = {sample.name: sample for sample in read_scrape(render(registry, PROTOBUF)).samples}
    assert samples.keys() == {"calls_total", "depth", "others_total"}
    assert samples["calls_total"].exemplar == ((("a", "b"),), 1.0, None)
    assert samples["depth"].timestamp is None


def test_a_gauge_goes_from_nought_to_minus_nought(registry: CollectorRegistry) -> None:
    gauge = Gauge("depth", "h", ["queue"], registry=registry).labels("a")
    for value in (0.0, -0.0):
        gauge.set(value)
        [sample] = read_scrape(render(registry, PROTOBUF)).samples
        assert math.copysign(1.0, sample.value) == math.copysign(1.0, value)


def test_a_time_of_creation_is_part_of_its_counter_whether_or_not_text_shows_it(registry: CollectorRegistry) -> None:
    """There it costs no series."""
    counter = Counter("calls", "h", ["model"], registry=registry).labels("a")
    [created] = read_scrape(render(registry, PROTOBUF)).created.values()
    assert created == pytest.approx(counter._created, abs=1.1e-3)
    counter._created += 5  # as its reset() of newer versions does
    assert read_scrape(render(registry, PROTOBUF)).created["calls_total", (("model", "a"),)] > created


@pytest.mark.parametrize(
    ("created", "is_part"),
    [
        (0.0, True),
        (1.25, True),
        (253_402_300_799.0, True),
        (-0.5, False),
        (-1e30, False),
        (253_402_300_800.0, False),
        (math.inf, False),
        (math.nan, False),
    ],
)
def test_a_time_of_creation_of_somebody_else_s_is_part_of_its_metric_where_a_scraper_can_read_it(
    created: float, is_part: bool, registry: CollectorRegistry
) -> None:
    """Else it is a sample of its own, as in text."""
    counter = Metric("calls", "h", "counter")
    counter.add_sample("calls_total", {}, 1.0)
    counter.add_sample("calls_created", {}, created)
    registry.register(FixedCollector(counter))
    assert_same_samples(registry)
    read = read_scrape(render(registry, PROTOBUF))
    assert {sample.name for sample in read.samples} == (
        {"calls_total"} if is_part else {"calls_total", "calls_created"}
    )
    assert [*read.created.values()] == ([created] if is_part else [])


MISFITS = {
    "a histogram without a sum": [("told_bucket", {"le": "+Inf"}, 1.0), ("told_count", {}, 1.0)],
    "a bucket that a number does not name": [
        ("told_bucket", {"le": "1"}, 1.0), ("told_bucket", {"le": "+Inf"}, 1.0), ("told_count", {}, 1.0),
        ("told_sum", {}, 1.0),
    ],
    "buckets that descend": [
        ("told_bucket", {"le": "1.0"}, 2.0), ("told_bucket", {"le": "+Inf"}, 1.0), ("told_count", {}, 1.0),
        ("told_sum", {}, 1.0),
    ],
    "a count that is no number of things": [
        ("told_bucket", {"le": "+Inf"}, 1.5), ("told_count", {}, 1.5), ("told_sum", {}, 1.0),
    ],
    "a bucket without a bound": [("told_bucket", {}, 1.0), ("told_count", {}, 1.0), ("told_sum", {}, 1.0)],
    "a sample of another name": [
        ("told_bucket", {"le": "+Inf"}, 1.0), ("told_count", {}, 1.0), ("told_sum", {}, 1.0), ("told_more", {}, 1.0),
    ],
}  # fmt: skip


@pytest.mark.parametrize("samples", MISFITS.values(), ids=MISFITS)
def test_what_no_message_can_hold_is_shown_as_single_values(
    registry: CollectorRegistry, samples: list[tuple[str, dict[str, str], float]]
) -> None:
    metric = Metric("told", "h", "histogram")
    for name, labels, value in samples:
        metric.add_sample(name, labels, value)
    registry.register(FixedCollector(metric))  # type: ignore[arg-type, unused-ignore]
    assert_same_samples(registry)


@pytest.mark.parametrize(("escaping", "name"), [("underscores", "http_requests__"), ("allow-utf-8", "http.requests_é")])
def test_names_beyond_ascii_are_escaped_as_requested(
    registry: CollectorRegistry, escaping: Escaping, name: str
) -> None:
    if version("prometheus_client") < "0.22":
        pytest.skip("it accepts no such names")
    Counter("http.requests_é", "h", ["a.b"], registry=registry).labels("1").inc()
    body = render(registry, Format(PROTOBUF.media_type, PROTOBUF.version, escaping))
    [sample] = read_scrape(body).samples
    assert sample.name == f"{name}_total"
    assert sample.labels == (("a.b" if escaping == "allow-utf-8" else "a_b", "1"),)


def test_a_scraper_that_asks_for_messages_gets_them(registry: CollectorRegistry) -> None:
    Gauge("open", "h", registry=registry).set(2)
    with metrics_rendered.captured() as events:
        response = scrape(registry, f"{ACCEPT},text/plain;q=0.5")
    assert response.headers["Content-Type"] == (
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited;"
        " escaping=underscores"
    )
    assert read_scrape(response.body).samples == [ReadSample("open", (), 2.0)]
    assert [(event.format, event.series) for event in events] == [("other", 1)]


@pytest.mark.parametrize("works", [True, False])
def test_a_family_without_series_is_left_out(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    Counter("calls", "h", ["model"], registry=registry)
    registry.register(FixedCollector(Metric("told", "h", "gaugehistogram")))
    asked = Gauge("asked", "h", ["model"], registry=registry)
    monkeypatch.setattr(write_protobuf, "fast_write_works", lambda: works)
    assert render_with_count(registry, PROTOBUF) == RenderedRegistry((), 0)
    asked.labels("a").set(1)
    assert [family.name for family in read_scrape(render(registry, PROTOBUF)).families] == ["asked"]


def test_a_large_family_lets_others_run_as_it_is_written(registry: CollectorRegistry) -> None:
    gauge = Gauge("depth", "h", ["queue"], registry=registry)
    for number in range(600):
        gauge.labels(str(number)).set(number)
    calls: list[None] = []
    rendered = render_with_count(registry, PROTOBUF, after_block=lambda: calls.append(None))
    assert rendered.sample_count == 600
    assert len(calls) == 3
