"""A registry is rendered as prometheus_client renders it, byte for byte, and as its parsers read it back.

Runs on the prometheus_client at hand; `test_stock_versions` runs it on the oldest and the newest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Metric,
    Summary,
    generate_latest,
)
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from events import collector_failed
from metrics.exposition import render as render_module
from metrics.exposition.render import GilYielder, render, render_with_count
from metrics.fastpath import write
from metrics.text_format.formats import OPENMETRICS, OPENMETRICS_0, TEXT, TEXT_1
from tests.support.drawn_registries import LABELS, TEXTS, FixedCollector, draw_collector, populate


@pytest.fixture(autouse=True)
def tried_out() -> None:
    """Let it look at the prometheus_client at hand before a test changes it."""
    write.fast_write_works()


class FailingCollector:
    """A collector whose collect() raises."""

    def collect(self) -> Iterable[Metric]:
        raise OSError("a secret")


def takes_fast_path(collector: Any) -> bool:
    """Return whether a collector of a known type is rendered by the fast path."""
    if type(collector) not in (Counter, Gauge, Summary, Histogram):
        return True
    blocks = write.render_blocks(collector, TEXT)
    return blocks is not None and bool(list(blocks))


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_text_is_byte_for_byte_that_of_prometheus_client(data: st.DataObject) -> None:
    """Also a second time, when texts are cached, and after children were added and removed."""
    registry = CollectorRegistry(target_info=data.draw(st.none() | st.dictionaries(LABELS, TEXTS, max_size=2)))
    populate(registry, data)
    registry.register(draw_collector(data))  # type: ignore[arg-type, unused-ignore]
    for _ in range(2):
        written = render_with_count(registry)
        assert written.body == generate_latest(registry)
        assert written.sample_count == sum(len(metric.samples) for metric in registry.collect())
        assert [takes_fast_path(collector) for collector, _ in write.registered_collectors(registry) or []].count(
            False
        ) == 0
    for collector in write.registered_collectors(registry) or []:
        if isinstance(collector[0], Gauge) and collector[0]._labelnames:
            collector[0].clear()
    populate_more = Counter("zz_more", "h", ["a"], registry=registry)
    populate_more.labels(data.draw(TEXTS)).inc()
    assert render(registry) == generate_latest(registry)


def comparable(families: Iterable[Metric]) -> dict[tuple[str, ...], list[tuple[Any, ...]]]:
    """Return families in a form in which two readings can be compared."""
    return {
        (metric.name, metric.type, metric.documentation): sorted(
            (
                sample.name,
                sorted(sample.labels.items()),
                value_text(sample.value),
                str(sample.exemplar and (sample.exemplar.labels, sample.exemplar.value)),
            )
            for sample in metric.samples
        )
        for metric in families
    }


def value_text(value: Any) -> str:
    return "nan" if math.isnan(value) else repr(float(value))


def populate_for_openmetrics(registry: CollectorRegistry, data: st.DataObject) -> None:
    """Register what OpenMetrics's parser accepts: no line breaks that it reads as ends, no negative sums."""
    text = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=8) | st.just('\n"\\')
    described = text.map(str.strip)  # its parser strips them
    counter = Counter("calls", data.draw(described), ["model", "a_b"], registry=registry)
    histogram = Histogram("took_seconds", data.draw(described), ["z", "a"], registry=registry, unit="seconds")
    gauge = Gauge("open", data.draw(described), registry=registry)
    gauge.set(data.draw(st.floats(allow_nan=False)))
    for number in range(data.draw(st.integers(0, 3))):
        exemplar = data.draw(st.none() | st.just({"trace_id": "a" * 16}))
        counter.labels(data.draw(text), str(number)).inc(data.draw(st.floats(0, 1e12)), exemplar)
        histogram.labels(data.draw(text), str(number)).observe(data.draw(st.floats(0, 1e5)), exemplar)
    Summary("sized", "h", ["k"], registry=registry).labels(data.draw(text)).observe(data.draw(st.floats(0, 1e5)))
    Info("build", "h", registry=registry).info({"version": data.draw(text)})
    Enum("state", "h", ["k"], states=["on", "off"], registry=registry).labels(data.draw(text)).state("off")


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_format_is_read_back_to_the_same_families(data: st.DataObject) -> None:
    """OpenMetrics is read back to what was collected, exemplars too; text 1.0 to what text 0.0.4 is."""
    registry = CollectorRegistry()
    populate_for_openmetrics(registry, data)
    for form in (OPENMETRICS, OPENMETRICS_0):
        read: Any = openmetrics_families(render(registry, form).decode())  # type: ignore[no-untyped-call]
        assert comparable(read) == comparable(registry.collect())
    plain = render(registry, TEXT).decode()
    assert comparable(text_families(render(registry, TEXT_1).decode())) == comparable(text_families(plain))


def test_a_failing_collector_loses_its_own_family_alone(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """It is emitted each time and logged once a minute, without the exception's message."""
    Counter("before_total", "h", registry=registry)
    registry.register(FailingCollector())  # type: ignore[arg-type, unused-ignore]
    Gauge("bad", "h", registry=registry).set_function(lambda: 1 / 0)
    unfit = Metric("unfit", "h", "gauge")
    unfit.add_sample("unfit", {}, "no number")  # type: ignore[arg-type]
    registry.register(FixedCollector(unfit, Metric("fit", "h", "gauge")))  # type: ignore[arg-type, unused-ignore]
    Counter("after_total", "h", registry=registry)
    with collector_failed.captured() as failed:
        bodies = [render(registry), render(registry)]
    for body in bodies:
        assert [name for name in (b"before", b"bad", b"unfit", b"fit ", b"after") if name in body] == [
            b"before",
            b"fit ",
            b"after",
        ]
    assert {event.collector: event.error for event in failed} == {
        "FailingCollector": "OSError", "bad": "ZeroDivisionError", "unfit": "ValueError"
    }  # fmt: skip
    assert len(failed) == 6
    assert "secret" not in caplog.text
    assert caplog.text.count("FailingCollector") <= 1


def test_an_object_that_is_no_registry_is_collected(registry: CollectorRegistry) -> None:
    Counter("calls_total", "h", registry=registry)
    other: Any = FixedCollector(*registry.collect())
    assert render(other) == generate_latest(registry)


def test_names_select_samples_or_families(registry: CollectorRegistry) -> None:
    Counter("calls_total", "h", registry=registry)
    Histogram("took", "h", registry=registry, buckets=[1])
    Gauge("open", "h", registry=registry)
    registry.register(FailingCollector())  # type: ignore[arg-type, unused-ignore]
    registry.unregister(
        next(c for c, _ in write.registered_collectors(registry) or [] if isinstance(c, FailingCollector))
    )

    def selected(*names: str) -> list[str]:
        return [line.split(" ")[0] for line in render(registry, names=names).decode().splitlines() if line[0] != "#"]

    assert selected("calls_total", "nothing") == ["calls_total"]
    assert selected("took_count", "open") == ["took_count", "open"]
    assert [name for name in selected("took") if "created" not in name] == [
        'took_bucket{le="1.0"}', 'took_bucket{le="+Inf"}', "took_count", "took_sum"
    ]  # fmt: skip
    assert selected("absent") == []


@pytest.mark.parametrize("escaping", ["underscores", "allow-utf-8", "dots", "values"])
def test_names_beyond_ascii_are_escaped_as_requested(registry: CollectorRegistry, escaping: Any) -> None:
    """Older versions of prometheus_client accept no such names, so there is nothing to escape."""
    try:
        counter = Counter("http.requests_é", "h", ["ключ", "a.b", "0x", "plain_one"], registry=registry)
    except ValueError:
        assert version("prometheus_client") < "0.22"
        return
    counter.labels("1", "2", "3", "4").inc()
    Histogram("took.time", "h", ["z.z"], registry=registry).labels("%").observe(1)
    Gauge("in:flight", "h", registry=registry).set(1)
    assert render(registry, replace(TEXT_1, escaping=escaping)) == generate_latest(registry, escaping)
    assert render(registry) == generate_latest(registry)


def test_a_colon_stays_in_openmetrics(registry: CollectorRegistry) -> None:
    """prometheus_client 0.26 writes the type under one name and the samples under another."""
    Counter("vllm:requests", "h", registry=registry).inc()
    assert b"# TYPE vllm:requests counter\nvllm:requests_total 1.0\n" in render(registry, OPENMETRICS)


def test_the_gil_is_released_once_an_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    now, pauses = [0.0], list[float]()
    monkeypatch.setattr(render_module, "perf_counter", lambda: now[0])
    monkeypatch.setattr(render_module, "sleep", pauses.append)
    yielder = GilYielder(interval=1.0, pause=0.25)
    for time, paused in ((0.5, 0), (1.0, 1), (1.5, 1), (1.999, 1), (2.0, 2)):
        now[0] = time
        yielder()
        assert pauses == [0.25] * paused


def test_every_block_is_followed_by_a_call(registry: CollectorRegistry) -> None:
    gauge = Gauge("depth", "h", ["queue"], registry=registry)
    for number in range(600):
        gauge.labels(str(number)).set(number)
    calls: list[None] = []
    rendered = render_with_count(registry, after_block=lambda: calls.append(None))
    assert rendered.sample_count == 600
    assert len(calls) == 4  # the header, and blocks of up to 256 samples
