"""What we write is what prometheus_client writes, letter by letter, and what it reads back.

Runs on the prometheus_client at hand; `test_stock_versions` runs it on the oldest and the newest.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from typing import Any
from weakref import ref

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
from metrics.exposition.render import render, render_with_count
from metrics.fastpath import write
from metrics.text_format.formats import OPENMETRICS, OPENMETRICS_0, TEXT, TEXT_1

NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True)
LABELS = NAMES.filter(lambda name: not name.startswith("__") and name not in ("le", "quantile"))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ['"', "\\", "\n", "%s", "{}", "é"]
)
NUMBERS = (
    st.floats() | st.integers(-(10**18), 10**18) | st.sampled_from([0.0, -0.0, 1e6, 999999.5, 1234567.8, 1e21, 5e-324])
)
COUNTS = st.floats(0, 1e15) | st.integers(0, 10**9)
KINDS = st.sampled_from([Counter, Gauge, Summary, Histogram, Info, Enum])


@pytest.fixture(autouse=True)
def tried_out() -> None:
    """Let it look at the prometheus_client at hand before a test changes it."""
    write.fast_write_works()


def move(kind: type[Any], child: Any, data: st.DataObject) -> None:
    """Do to a child what its kind allows, several times."""
    for _ in range(data.draw(st.integers(0, 3))):
        if kind is Counter:
            child.inc(data.draw(COUNTS))
        elif kind is Gauge:
            child.set(data.draw(NUMBERS))
        elif kind is Info:
            child.info(data.draw(st.dictionaries(NAMES.map(lambda name: f"i_{name}"), TEXTS, max_size=3)))
        elif kind is Enum:
            child.state(data.draw(st.sampled_from(["on", "off"])))
        else:
            child.observe(data.draw(NUMBERS))


def populate(registry: CollectorRegistry, data: st.DataObject) -> None:
    """Register collectors of every kind with whatever names, labels, help and values."""
    for number in range(data.draw(st.integers(0, 4))):
        kind = data.draw(KINDS)
        shape: dict[str, Any] = {}
        if kind is Enum:
            shape["states"] = ["on", "off"]
        if kind is Histogram:
            shape["buckets"] = sorted(data.draw(st.sets(st.floats(-10, 1e9), min_size=1, max_size=4)))
        names = data.draw(st.lists(LABELS, max_size=3, unique=True))
        name = f"m{number}_{data.draw(NAMES)}"
        metric = kind(name, data.draw(TEXTS), [label for label in names if label != name], registry=registry, **shape)
        if not names:
            move(kind, metric, data)
            continue
        for _ in range(data.draw(st.integers(0, 3))):
            move(kind, metric.labels(*(data.draw(TEXTS) for label in names if label != name)), data)


class Told:
    """A collector of one's own, which tells what it was given."""

    def __init__(self, *families: Metric) -> None:
        self.families = families

    def collect(self) -> Iterable[Metric]:
        return self.families


class Broken:
    """A collector that fails."""

    def collect(self) -> Iterable[Metric]:
        raise OSError("a secret")


def told(data: st.DataObject) -> Told:
    """Draw a custom collector: any kind of family, with timestamps and OpenMetrics's own samples."""
    kind = data.draw(st.sampled_from(["counter", "gauge", "unknown", "gaugehistogram", "info", "stateset", "summary"]))
    metric = Metric("told", data.draw(TEXTS), kind)
    for suffix in data.draw(
        st.lists(st.sampled_from(["", "_total", "_created", "_gsum", "_gcount", "_bucket"]), max_size=5)
    ):
        labels = data.draw(st.dictionaries(LABELS, TEXTS, max_size=3))
        time = data.draw(st.none() | st.floats(0, 2e9))
        metric.add_sample(f"told{suffix}", labels, data.draw(NUMBERS), time)
    return Told(metric)


def written_fast(collector: Any) -> bool:
    """Tell whether a collector of a known kind is, and not by way of its `collect`."""
    if type(collector) not in (Counter, Gauge, Summary, Histogram):
        return True
    blocks = write.blocks(collector, TEXT)
    return blocks is not None and bool(list(blocks))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_text_is_that_of_prometheus_client_letter_by_letter(data: st.DataObject) -> None:
    """Also a second time, when texts are kept, and after something moved or went."""
    registry = CollectorRegistry(target_info=data.draw(st.none() | st.dictionaries(LABELS, TEXTS, max_size=2)))
    populate(registry, data)
    registry.register(told(data))  # type: ignore[arg-type, unused-ignore]
    for _ in range(2):
        written = render_with_count(registry)
        assert written.body == generate_latest(registry)
        assert written.sample_count == sum(len(metric.samples) for metric in registry.collect())
        assert [written_fast(collector) for collector, _ in write.collectors(registry) or []].count(False) == 0
    for collector in write.collectors(registry) or []:
        if isinstance(collector[0], Gauge) and collector[0]._labelnames:
            collector[0].clear()
    populate_more = Counter("zz_more", "h", ["a"], registry=registry)
    populate_more.labels(data.draw(TEXTS)).inc()
    assert render(registry) == generate_latest(registry)


def known(families: Iterable[Metric]) -> dict[tuple[str, ...], list[tuple[Any, ...]]]:
    """Sort what was read back, so that two readings can be compared."""
    return {
        (metric.name, metric.type, metric.documentation): sorted(
            (
                sample.name,
                sorted(sample.labels.items()),
                shown(sample.value),
                str(sample.exemplar and (sample.exemplar.labels, sample.exemplar.value)),
            )
            for sample in metric.samples
        )
        for metric in families
    }


def shown(value: Any) -> str:
    return "nan" if math.isnan(value) else repr(float(value))


def populate_soundly(registry: CollectorRegistry, data: st.DataObject) -> None:
    """Register what OpenMetrics's parser takes: no line breaks that it reads as ends, no negative sums."""
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


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_format_says_the_same(data: st.DataObject) -> None:
    """OpenMetrics is read back to what was collected, exemplars too; text 1.0 to what text 0.0.4 is."""
    registry = CollectorRegistry()
    populate_soundly(registry, data)
    for form in (OPENMETRICS, OPENMETRICS_0):
        read: Any = openmetrics_families(render(registry, form).decode())  # type: ignore[no-untyped-call]
        assert known(read) == known(registry.collect())
    plain = render(registry, TEXT).decode()
    assert known(text_families(render(registry, TEXT_1).decode())) == known(text_families(plain))


def test_the_version_at_hand_is_written_fast() -> None:
    assert write.fast_write_works()


@pytest.mark.parametrize("kind", [Counter, Gauge, Summary, Histogram])
def test_a_subclass_is_written_as_it_tells(registry: CollectorRegistry, kind: type[Any]) -> None:
    class Doubled(kind):  # type: ignore[misc]
        def collect(self) -> Iterable[Metric]:
            return [Metric("other", "Another.", "gauge")]

    Doubled("mine", "h", registry=registry)
    assert render(registry) == generate_latest(registry)


def test_a_gauge_of_a_function_shows_what_the_function_says(registry: CollectorRegistry) -> None:
    numbers = iter(range(100))
    Gauge("bare", "h", registry=registry).set_function(lambda: next(numbers))
    Gauge("one", "h", ["k"], registry=registry).labels("a").set_function(lambda: 7)
    assert b"bare 0.0\n" in render(registry)
    assert b'one{k="a"} 7.0\n' in render(registry)


def test_numbers_of_other_types_are_written_as_numbers(registry: CollectorRegistry) -> None:
    class Halves(float):
        def __repr__(self) -> str:
            return "Halves"

    gauge = Gauge("g", "h", registry=registry)
    gauge.inc(Halves(0.5))
    counter = Counter("c", "h", registry=registry)
    counter._value.set(3)  # as Counter.reset does
    assert render(registry) == generate_latest(registry)


@pytest.mark.parametrize("change", ["_value", "_name", "_labelnames"])
def test_private_parts_that_changed_cost_the_speed_alone(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Given a prometheus_client whose insides are not those that we know, its own way is taken."""
    counter = Counter("calls_total", "h", registry=registry)
    counter.inc()
    expected = generate_latest(registry)
    monkeypatch.setattr(Counter, "collect", Counter("calls_total", "h", registry=None).collect)
    monkeypatch.delattr(counter, change)
    assert b"calls_total 0.0\n" in render(registry)
    assert b"calls_total 1.0\n" in expected


def test_a_version_that_writes_otherwise_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "generate_latest", lambda _: b"something new\n")
    write.fast_write_works.cache_clear()
    try:
        assert not write.fast_write_works()
        registry = CollectorRegistry()
        Histogram("took", "h", registry=registry).observe(1)
        assert render(registry) == generate_latest(registry)
    finally:
        write.fast_write_works.cache_clear()


def test_a_broken_collector_loses_its_own_family(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    """It is told and logged, once a minute, without what it said."""
    Counter("before_total", "h", registry=registry)
    registry.register(Broken())  # type: ignore[arg-type, unused-ignore]
    Gauge("bad", "h", registry=registry).set_function(lambda: 1 / 0)
    unfit = Metric("unfit", "h", "gauge")
    unfit.add_sample("unfit", {}, "no number")  # type: ignore[arg-type]
    registry.register(Told(unfit, Metric("fit", "h", "gauge")))  # type: ignore[arg-type, unused-ignore]
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
        "Broken": "OSError", "bad": "ZeroDivisionError", "unfit": "ValueError"
    }  # fmt: skip
    assert len(failed) == 6
    assert "secret" not in caplog.text
    assert caplog.text.count("Broken") <= 1


def test_a_registry_of_another_kind_is_collected(registry: CollectorRegistry) -> None:
    Counter("calls_total", "h", registry=registry)
    other: Any = Told(*registry.collect())
    assert render(other) == generate_latest(registry)


def test_names_keep_samples_or_families_alone(registry: CollectorRegistry) -> None:
    Counter("calls_total", "h", registry=registry)
    Histogram("took", "h", registry=registry, buckets=[1])
    Gauge("open", "h", registry=registry)
    registry.register(Broken())  # type: ignore[arg-type, unused-ignore]
    registry.unregister(next(c for c, _ in write.collectors(registry) or [] if isinstance(c, Broken)))

    def kept(*names: str) -> list[str]:
        return [line.split(" ")[0] for line in render(registry, names=names).decode().splitlines() if line[0] != "#"]

    assert kept("calls_total", "nothing") == ["calls_total"]
    assert kept("took_count", "open") == ["took_count", "open"]
    assert [name for name in kept("took") if "created" not in name] == [
        'took_bucket{le="1.0"}', 'took_bucket{le="+Inf"}', "took_count", "took_sum"
    ]  # fmt: skip
    assert kept("absent") == []


@pytest.mark.parametrize("escaping", ["underscores", "allow-utf-8", "dots", "values"])
def test_names_beyond_ascii_are_escaped_as_asked(registry: CollectorRegistry, escaping: Any) -> None:
    """Older versions of prometheus_client take no such names; there nothing is to be escaped."""
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
    """prometheus_client 0.26 writes the type of one name and the samples of another."""
    Counter("vllm:requests", "h", registry=registry).inc()
    assert b"# TYPE vllm:requests counter\nvllm:requests_total 1.0\n" in render(registry, OPENMETRICS)


def test_what_was_removed_is_not_kept(registry: CollectorRegistry) -> None:
    histogram = Histogram("took", "h", ["k"], registry=registry)
    for number in range(100):
        histogram.labels(str(number)).observe(number)
    bare = Gauge("bare", "h", registry=registry)
    removed: list[ref[Any]] = [ref(histogram.labels("7")), ref(bare)]
    render(registry)
    histogram.remove("7")
    registry.unregister(bare)
    histogram.labels("new").observe(1)
    assert render(registry) == generate_latest(registry)
    del bare
    gc.collect()
    assert [left() for left in removed] == [None, None]


def test_a_child_made_anew_has_its_own_time_and_values(registry: CollectorRegistry) -> None:
    counter = Counter("calls_total", "h", ["k"], registry=registry)
    for _ in range(2):
        counter.labels("a").inc(3)
        assert render(registry) == generate_latest(registry)
        assert render(registry, OPENMETRICS).count(b"_created{") == 1
        counter.remove("a")


def test_histograms_of_many_observations(registry: CollectorRegistry) -> None:
    """Small counts are looked up, larger ones written; from a million on Go has exponents."""
    histogram = Histogram("took", "h", buckets=(1, 2, 3), registry=registry)
    for count, value in ((1000, 0), (30, 1), (999_000, 2), (20, 4)):
        for bucket, bound in zip(histogram._buckets, histogram._upper_bounds, strict=True):
            if value <= bound:
                bucket.inc(count)  # as so many observations would
                break
        assert render(registry) == generate_latest(registry)
    assert b'took_bucket{le="+Inf"} 1.00005e+06\n' in render(registry)


def test_renders_at_once_in_threads_agree_with_what_comes_after(registry: CollectorRegistry) -> None:
    """Given several renders while values move, none leaves a stale text behind."""
    gauge = Gauge("open", "h", ["k"], registry=registry)
    children = [gauge.labels(str(number)) for number in range(300)]

    def work(seed: int) -> None:
        for number in range(20):
            for child in children[seed::3]:
                child.set(number + seed / 7)
            render(registry)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    assert render(registry) == generate_latest(registry)
