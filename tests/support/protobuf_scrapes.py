"""Scrapes by Protocol Buffers, read by code that is generated from the schema that Prometheus publishes.

The code is in the package of Envoy's API, which has these messages too; it is made by betterproto2.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from itertools import zip_longest
from typing import Any

from prometheus_client.utils import floatToGoString

from tests.support.versions import overlay

PINS = ("envoy-data-plane==2.2.0", "betterproto2==0.9.1")
_BYTES_IN_VARINT = 7  # bits of each byte that count

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ReadSample:
    """A sample as a scraper has it: an exemplar as its labels, its value and its timestamp."""

    name: str
    labels: Labels
    value: float
    timestamp: float | None = None
    exemplar: tuple[Labels, float, float | None] | None = None


@dataclass(slots=True)
class Scrape:
    """A scrape: its families, their samples with classic buckets, and the times of creation by name and labels."""

    families: list[Any]
    samples: list[ReadSample] = field(default_factory=list)
    created: dict[tuple[str, Labels], float] = field(default_factory=dict)


@cache
def schema() -> Any:
    """Return the module with the classes of the messages."""
    sys.path.append(str(overlay(*PINS)))  # at the end: it adds these two packages and shadows none
    with warnings.catch_warnings(action="ignore"):  # of what is generated for pydantic
        from envoy_data_plane.io.prometheus import client  # type: ignore[import-not-found]  # of the overlay

    return client


def read_scrape(body: bytes) -> Scrape:
    """Return what is in the body of an answer.

    Raises:
        AssertionError: a message has a field that the schema does not know.
    """
    scrape = Scrape([schema().MetricFamily.parse(message) for message in split_messages(body)])
    for family in scrape.families:
        _check_known(family)
        for metric in family.metric:
            labels = _labels(metric.label)
            timestamp = metric.timestamp_ms / 1000 if metric.timestamp_ms else None
            for name, own_labels, value, exemplar in _samples(family, metric):
                read = ReadSample(name, tuple(sorted((*labels, *own_labels))), value, timestamp, _exemplar(exemplar))
                scrape.samples.append(read)
            for value in (metric.counter, metric.summary, metric.histogram):
                if value is not None and value.created_timestamp is not None:
                    scrape.created[family.name, labels] = value.created_timestamp.timestamp()
    return scrape


def split_messages(body: bytes) -> Iterator[bytes]:
    """Yield the messages of a stream, each of which follows its length."""
    at = 0
    while at < len(body):
        length, shift = 0, 0
        while True:
            byte = body[at]
            at, length, shift = at + 1, length | (byte & 127) << shift, shift + _BYTES_IN_VARINT
            if byte < 128:
                break
        assert at + length <= len(body)
        yield body[at : at + length]
        at += length


def _check_known(message: Any) -> None:
    assert not message._unknown_fields, message
    for name in message._betterproto.sorted_field_names:
        value = getattr(message, name)
        for each in value if isinstance(value, list) else [value]:
            if hasattr(each, "_unknown_fields"):
                _check_known(each)


def _samples(family: Any, metric: Any) -> Iterator[tuple[str, Labels, float, Any]]:
    """Yield the samples of a metric as Prometheus makes them, each with its own label and its exemplar."""
    kind, name = family.type.name, family.name
    if kind == "COUNTER":
        yield name, (), metric.counter.value, metric.counter.exemplar
    elif kind == "GAUGE":
        yield name, (), metric.gauge.value, None
    elif kind == "UNTYPED":
        yield name, (), metric.untyped.value, None
    elif kind == "SUMMARY":
        yield from _totals(name, metric.summary)
        for quantile in metric.summary.quantile:
            yield name, (("quantile", go_number(quantile.quantile)),), quantile.value, None
    else:
        assert kind == "HISTOGRAM"
        yield from _totals(name, metric.histogram)
        exemplars = [bucket.exemplar for bucket in metric.histogram.bucket]
        for (bound, count), exemplar in zip_longest(classic_counts(metric.histogram), exemplars):
            yield f"{name}_bucket", (("le", go_number(bound)),), float(count), exemplar


def classic_counts(histogram: Any) -> list[tuple[float, int]]:
    """Return the bounds and the cumulative counts of classic buckets as Prometheus has them, with that of infinity."""
    found = [(bucket.upper_bound, bucket.cumulative_count) for bucket in histogram.bucket]
    return found if found and found[-1][0] == math.inf else [*found, (math.inf, histogram.sample_count)]


def _totals(name: str, value: Any) -> Iterator[tuple[str, Labels, float, None]]:
    yield f"{name}_count", (), float(value.sample_count), None
    yield f"{name}_sum", (), value.sample_sum, None


def go_number(number: float) -> str:
    """Return a number as Prometheus writes it into the label of a bucket or a quantile."""
    return str(floatToGoString(number))  # type: ignore[no-untyped-call]


def _labels(pairs: Iterable[Any]) -> Labels:
    return tuple(sorted((pair.name, pair.value) for pair in pairs))


def _exemplar(exemplar: Any) -> tuple[Labels, float, float | None] | None:
    if exemplar is None:
        return None
    at: datetime | None = exemplar.timestamp
    return _labels(exemplar.label), exemplar.value, None if at is None else at.timestamp()


def exponential_counts(histogram: Any) -> dict[int, int]:
    """Return the counts of a histogram's exponential buckets that have one, by index, without the zero bucket's."""
    found: dict[int, int] = {}
    deltas = iter(histogram.positive_delta)
    index = count = 0
    for span in histogram.positive_span:
        index += span.offset
        for _ in range(span.length):
            count += next(deltas)
            if count:
                found[index] = count
            index += 1
    assert next(deltas, None) is None
    return found
