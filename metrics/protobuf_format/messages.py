"""The messages of ``io.prometheus.client``, by the numbers that its schema gives their fields.

The schema is io/prometheus/client/metrics.proto of github.com/prometheus/client_model. A function returns the fields of
one message; the tests read them by code that is generated from the schema.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from math import floor, nan
from typing import Any, Literal

from prometheus_client.samples import Exemplar

from ..text_format.escaping import escape_label_name, escape_metric_name
from ..text_format.formats import Escaping
from .wire import LENGTH_DELIMITED, bytes_field, delimited, double_field, integer_field, tag, text_field, varint

MetricType = Literal["counter", "gauge", "summary", "untyped", "histogram"]

TYPE_NUMBERS: Mapping[MetricType, int] = {"counter": 0, "gauge": 1, "summary": 2, "untyped": 3, "histogram": 4}
"""The numbers of the enum ``MetricType``."""

VALUE_FIELDS: Mapping[MetricType, int] = {"gauge": 2, "counter": 3, "summary": 4, "untyped": 5, "histogram": 7}
"""Which field of ``Metric`` has the value of a type."""

CREATED_FIELDS: Mapping[MetricType, int] = {"counter": 3, "summary": 4, "histogram": 15}
"""Which field of the value is its ``created_timestamp``."""

MIN_TIME, MAX_TIME = -62_135_596_800, 253_402_300_800
"""The Unix times of a ``google.protobuf.Timestamp``: from the year 1 on, and below the year 10,000."""

METRIC_FIELD = 4
"""Which field of ``MetricFamily`` has its metrics."""


def family(name: str, documentation: str, kind: MetricType, unit: str, metrics: Iterable[bytes]) -> bytes:
    """Return a ``MetricFamily`` after its length; ``metrics`` are fields of it, see `metric_field`."""
    fields = [text_field(1, name), text_field(2, documentation), integer_field(3, TYPE_NUMBERS[kind]), *metrics]
    return delimited(b"".join([*fields, text_field(5, unit)] if unit else fields))


def metric_field(labels: bytes, kind: MetricType, value: bytes, timestamp: bytes = b"") -> bytes:
    """Return a ``Metric`` as a field of its family, from its labels, the fields of its value and its timestamp."""
    return bytes_field(METRIC_FIELD, labels + bytes_field(VALUE_FIELDS[kind], value) + timestamp)


def metric_name(name: str, escaping: Escaping) -> str:
    """Return the name of a family; in UTF-8 it is as it is, without the quotes that text needs."""
    return name if escaping == "allow-utf-8" else escape_metric_name(name, escaping)


def label_fields(labels: Mapping[str, Any], escaping: Escaping) -> bytes:
    """Return the labels of a metric, sorted by name."""
    return b"".join(bytes_field(1, label_pair(name, labels[name], escaping)) for name in sorted(labels))


def label_pair(name: str, value: object, escaping: Escaping) -> bytes:
    """Return a ``LabelPair``."""
    escaped = name if escaping == "allow-utf-8" else escape_label_name(name, escaping)
    return text_field(1, escaped) + text_field(2, str(value))


def number_fields(value: float) -> bytes:
    """Return a ``Gauge``, an ``Untyped``, or a ``Counter`` without exemplar and created timestamp."""
    return double_field(1, value)


def exemplar_field(field: int, exemplar: Exemplar | None, escaping: Escaping) -> bytes:
    """Return an ``Exemplar`` as this field of its counter or bucket; nothing where there is none.

    A timestamp that is none, which a collector of somebody else's may have, is left out.
    """
    if exemplar is None:
        return b""
    seconds = nan if exemplar.timestamp is None else float(exemplar.timestamp)
    timestamp = bytes_field(3, timestamp_fields(seconds)) if MIN_TIME <= seconds < MAX_TIME else b""
    labels = label_fields(exemplar.labels, escaping)
    return bytes_field(field, labels + double_field(2, float(exemplar.value)) + timestamp)


def created_field(kind: MetricType, created: float | None) -> bytes:
    """Return the time at which a counter, a summary or a histogram was created, in Unix seconds, as its field.

    It is cut to milliseconds, which is what Prometheus takes: finer digits cannot be compressed.
    """
    if created is None:
        return b""
    return bytes_field(CREATED_FIELDS[kind], timestamp_fields(floor(created * 1000) / 1000))


def timestamp_fields(seconds: float) -> bytes:
    """Return a ``google.protobuf.Timestamp`` of Unix seconds."""
    whole, nanoseconds = divmod(round(seconds * 1e9), 1_000_000_000)
    return integer_field(1, whole) + (integer_field(2, nanoseconds) if nanoseconds else b"")


class _CountPrefixes(dict[int, bytes]):
    """The bytes before the bound in the bucket of a count, without an exemplar."""

    def __missing__(self, count: int) -> bytes:
        before = b"\x08" + varint(count)
        return tag(3, LENGTH_DELIMITED) + varint(len(before) + _BOUND_SIZE) + before


_BOUND_SIZE = 9
_COUNT_PREFIXES = _CountPrefixes((count, _CountPrefixes()[count]) for count in range(1024))


def bucket_fields(counts: Sequence[int], bounds: Sequence[bytes], exemplars: Sequence[bytes] = ()) -> bytes:
    """Return the buckets of a histogram as its fields.

    Args:
        counts: The cumulative count of each bucket.
        bounds: The `bound_field` of each.
        exemplars: The exemplar of each as its field, empty where it has none; nothing where no bucket has one.
    """
    if not exemplars:
        return b"".join(chain.from_iterable(zip(map(_COUNT_PREFIXES.__getitem__, counts), bounds, strict=True)))
    return b"".join(
        bytes_field(3, b"\x08" + varint(count) + bound + exemplar)
        for count, bound, exemplar in zip(counts, bounds, exemplars, strict=True)
    )


def bound_field(bound: float) -> bytes:
    """Return the upper bound of a bucket as a field of it."""
    return double_field(2, bound)


def quantile_field(quantile: float, value: float) -> bytes:
    """Return a ``Quantile`` as a field of its summary."""
    return bytes_field(3, double_field(1, quantile) + double_field(2, value))


def histogram_fields(
    count: int,
    total: float,
    counts: Sequence[int],
    bounds: Sequence[bytes],
    *,
    exemplars: Sequence[bytes] = (),
    created: bytes = b"",
    native: bytes = b"",
) -> bytes:
    """Return the fields of a histogram; the bucket of infinity is left out where a scraper adds it from the count.

    Its count and its sum come last, after what other children have too: compressed, that is smaller.

    Args:
        count: Its count.
        total: Its sum.
        counts: As `bucket_fields` takes them, like the next two.
        bounds: Infinity is the last.
        exemplars: None, or one of each bucket.
        created: The `created_field`.
        native: The `native_fields`.
    """
    if len(counts) > 1 and counts[-1] == count and not (exemplars and exemplars[-1]):
        counts, bounds, exemplars = counts[:-1], bounds[:-1], exemplars[:-1]
    return bucket_fields(counts, bounds, exemplars) + created + native + total_fields(count, total)


def total_fields(count: int, total: float) -> bytes:
    """Return the count and the sum of a summary or a histogram."""
    return integer_field(1, count) + double_field(2, total)
