"""Rendering of whole metric families as Protocol Buffers, from what ``collect()`` of any collector returns.

What a scraper reads are the samples that text has, but for the times of creation: these are part of their counter,
summary or histogram. A family whose samples are not those of a message of its type, such as a histogram without a sum,
is written as families of single values, one for each name of a sample: nothing is added and nothing left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import inf

from prometheus_client import Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from ..text_format.families import Block
from ..text_format.formats import Format
from .messages import (
    MAX_TIME,
    MetricType,
    bound_field,
    created_field,
    exemplar_field,
    family,
    histogram_fields,
    label_fields,
    metric_field,
    metric_name,
    number_fields,
    quantile_field,
    total_fields,
)
from .wire import integer_field

_TYPES: Mapping[str, MetricType] = {
    "counter": "counter",
    "gauge": "gauge",
    "info": "gauge",
    "stateset": "gauge",
    "unknown": "untyped",
    "summary": "summary",
    "histogram": "histogram",
}
_NAME_SUFFIXES = {"counter": "_total", "info": "_info"}
_GAUGE_SUFFIXES = ("_created", "_gcount", "_gsum")
_MAX_COUNT = 2.0**63  # Prometheus converts counts to a signed number


class _Misfit(Exception):
    """The samples of a family are not those that messages of its type have."""


def render_family(metric: Metric, text_format: Format) -> Iterator[Block]:
    """Yield a family's message, or those of the families of single values that it becomes; none of no samples."""
    samples = [sample for sample in metric.samples if getattr(sample, "native_histogram", None) is None]
    try:
        kind, fields = _TYPES.get(metric.type, "untyped"), _whole(metric, samples, text_format)
    except _Misfit:
        yield from _split(metric, samples, text_format)
        return
    if not fields:
        return
    name = metric.name + _NAME_SUFFIXES.get(metric.type, "")
    shown = sum(sample.name != f"{metric.name}_created" for sample in samples)
    escaped = metric_name(name, text_format.escaping)
    yield family(escaped, metric.documentation, kind, metric.unit, fields), shown


def _whole(metric: Metric, samples: Iterable[Sample], text_format: Format) -> list[bytes]:
    """Return the metrics of a family, each from all samples of the same labels.

    Raises:
        _Misfit: samples are missing, are too many, or have values that the messages of this type cannot have.
    """
    make = _VALUES.get(metric.type)
    if make is None:
        raise _Misfit
    groups: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
    own_label = {"histogram": "le", "summary": "quantile"}.get(metric.type, "")
    for sample in samples:
        labels = {**sample.labels}
        labels.pop(own_label, None)
        groups.setdefault(tuple(sorted(labels.items())), []).append(sample)
    return [_metric(metric, dict(labels), group, make, text_format) for labels, group in groups.items()]


def _metric(
    metric: Metric,
    labels: Mapping[str, str],
    group: Sequence[Sample],
    make: Callable[[_Parts, Format], bytes],
    text_format: Format,
) -> bytes:
    timestamps = {_milliseconds(sample) for sample in group}
    if len(timestamps) > 1:
        raise _Misfit
    value = make(_Parts(metric.name, group), text_format)
    kind = _TYPES[metric.type]
    return metric_field(label_fields(labels, text_format.escaping), kind, value, _timestamp_field(*timestamps))


class _Parts:
    """The samples of one metric: each is taken once, and none may be left."""

    def __init__(self, name: str, samples: Iterable[Sample]) -> None:
        self._name = name
        self._samples: dict[str, list[Sample]] = {}
        for sample in samples:
            self._samples.setdefault(sample.name, []).append(sample)

    def take(self, suffix: str) -> Sample:
        """Return the one sample with a suffix."""
        found = self._samples.pop(self._name + suffix, ())
        if len(found) != 1:
            raise _Misfit
        return found[0]

    def take_all(self, suffix: str, label: str) -> list[tuple[float, Sample]]:
        """Return the samples with a suffix, each with its own label as a number, ascending."""
        numbered: list[tuple[float, Sample]] = []
        for sample in self._samples.pop(self._name + suffix, ()):
            number = _number(sample.labels.get(label))
            if numbered and number <= numbered[-1][0]:
                raise _Misfit
            numbered.append((number, sample))
        return numbered

    def created(self) -> float | None:
        """Return the time of creation, and make sure that no sample is left."""
        created = float(self.take("_created").value) if f"{self._name}_created" in self._samples else None
        if self._samples or not (created is None or 0 <= created < MAX_TIME):
            raise _Misfit
        return created


def _number(label_value: str | None) -> float:
    """Return the number that a bound or a quantile is, if text would have it as a scraper writes the number."""
    try:
        number = float(str(label_value))
    except ValueError:
        raise _Misfit from None
    if floatToGoString(number) != label_value:  # type: ignore[no-untyped-call]
        raise _Misfit
    return number


def _count(sample: Sample) -> int:
    if not (0 <= sample.value < _MAX_COUNT and sample.value == int(sample.value)):
        raise _Misfit
    return int(sample.value)


def _counter(parts: _Parts, text_format: Format) -> bytes:
    total = parts.take("_total")
    exemplar = exemplar_field(2, total.exemplar, text_format.escaping)
    return number_fields(float(total.value)) + exemplar + created_field("counter", parts.created())


def _single(suffix: str) -> Callable[[_Parts, Format], bytes]:
    def value(parts: _Parts, _: Format) -> bytes:
        fields = number_fields(float(parts.take(suffix).value))
        if parts.created() is not None:
            raise _Misfit
        return fields

    return value


def _summary(parts: _Parts, _: Format) -> bytes:
    quantiles = b"".join(
        quantile_field(quantile, float(sample.value)) for quantile, sample in parts.take_all("", "quantile")
    )
    totals = total_fields(_count(parts.take("_count")), float(parts.take("_sum").value))
    return totals + quantiles + created_field("summary", parts.created())


def _histogram(parts: _Parts, text_format: Format) -> bytes:
    buckets = parts.take_all("_bucket", "le")
    counts = [_count(sample) for _, sample in buckets]
    count = _count(parts.take("_count"))
    if not buckets or buckets[-1][0] != inf or counts != sorted(counts) or count != counts[-1]:
        raise _Misfit
    bounds = [bound_field(bound) for bound, _ in buckets]
    exemplars = [exemplar_field(3, sample.exemplar, text_format.escaping) for _, sample in buckets]
    total = float(parts.take("_sum").value)
    created = created_field("histogram", parts.created())
    return histogram_fields(count, total, counts, bounds, exemplars=exemplars, created=created)


_VALUES: Mapping[str, Callable[[_Parts, Format], bytes]] = {
    "counter": _counter,
    "gauge": _single(""),
    "info": _single("_info"),
    "stateset": _single(""),
    "unknown": _single(""),
    "summary": _summary,
    "histogram": _histogram,
}


def _split(metric: Metric, samples: Iterable[Sample], text_format: Format) -> Iterator[Block]:
    """Yield a family of single values for each name of a sample."""
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample.name, []).append(sample)
    for name, same in by_name.items():
        kind = _single_type(metric, name)
        fields = [
            metric_field(
                label_fields(sample.labels, text_format.escaping),
                kind,
                number_fields(float(sample.value)),
                _timestamp_field(_milliseconds(sample)),
            )
            for sample in same
        ]
        escaped = metric_name(name, text_format.escaping)
        yield family(escaped, metric.documentation, kind, "", fields), len(same)


def _single_type(metric: Metric, name: str) -> MetricType:
    if any(name == metric.name + suffix for suffix in _GAUGE_SUFFIXES) or _TYPES.get(metric.type) == "gauge":
        return "gauge"
    return "counter" if metric.type == "counter" and name.endswith("_total") else "untyped"


def _milliseconds(sample: Sample) -> int | None:
    """Return the timestamp of a sample; None where it has none that a scraper could read."""
    milliseconds = None if sample.timestamp is None else float(sample.timestamp) * 1000
    return int(milliseconds) if milliseconds is not None and abs(milliseconds) < _MAX_COUNT else None


def _timestamp_field(milliseconds: int | None) -> bytes:
    return b"" if milliseconds is None else integer_field(6, milliseconds)
