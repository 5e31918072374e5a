"""One line of the exposition: a sample's name, labels, value, timestamp and exemplar."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import Metric
from prometheus_client.samples import Exemplar, Sample
from prometheus_client.utils import floatToGoString

from .escaping import escape_label_name, escape_label_value, escape_metric_name
from .formats import Escaping, Format


def text_line(sample: Sample, text_format: Format) -> str:
    """Return a sample's line in Prometheus's text format; empty for a native histogram, which text cannot hold."""
    if getattr(sample, "native_histogram", None) is not None:
        return ""
    before, after = line_frame(sample.name, bool(sample.labels), text_format.escaping)
    timestamp = "" if sample.timestamp is None else f" {int(float(sample.timestamp) * 1000)}"  # milliseconds
    return (
        f"{before}{label_pairs(sample.labels, text_format.escaping)}{after} {format_value(sample.value)}{timestamp}\n"
    )


def openmetrics_line(sample: Sample, metric: Metric, text_format: Format) -> str:
    """Return a sample's line in OpenMetrics, with its exemplar where OpenMetrics allows one."""
    if getattr(sample, "native_histogram", None) is not None:
        return ""
    before, after = line_frame(sample.name, bool(sample.labels), text_format.escaping)
    labels = label_pairs(sample.labels, text_format.escaping)
    timestamp = "" if sample.timestamp is None else f" {sample.timestamp}"  # seconds
    exemplar = sample.exemplar
    suffix = exemplar_suffix(exemplar, text_format) if exemplar and _may_have_exemplar(sample, metric) else ""
    return f"{before}{labels}{after} {format_value(sample.value)}{timestamp}{suffix}\n"


def _may_have_exemplar(sample: Sample, metric: Metric) -> bool:
    if metric.type == "counter":
        return sample.name.endswith("_total")
    return metric.type in ("histogram", "gaugehistogram") and sample.name.endswith("_bucket")


def exemplar_suffix(exemplar: Exemplar, text_format: Format) -> str:
    """Return the text of an exemplar, which follows the sample's value; its timestamp is in seconds."""
    timestamp = "" if exemplar.timestamp is None else f" {exemplar.timestamp}"
    return f" # {{{label_pairs(exemplar.labels, text_format.escaping)}}} {format_value(exemplar.value)}{timestamp}"


def line_frame(name: str, labelled: bool, escaping: Escaping) -> tuple[str, str]:
    """Return the text before and after a sample's labels; a quoted name stands inside the braces."""
    escaped = escape_metric_name(name, escaping)
    if escaped.startswith('"'):
        return f"{{{escaped}{',' if labelled else ''}", "}"
    return (f"{escaped}{{", "}") if labelled else (escaped, "")


def label_pairs(labels: Mapping[str, Any], escaping: Escaping) -> str:
    """Return labels as ``name="value"`` joined by commas, sorted by name."""
    return ",".join(
        [f'{escape_label_name(name, escaping)}="{escape_label_value(labels[name])}"' for name in sorted(labels)]
    )


def format_value(value: Any) -> str:
    """Return a number as Go writes it; Go switches to an exponent at smaller numbers than Python does."""
    value = float(value)
    return repr(value) if -1e300 < value < 1e6 else floatToGoString(value)  # type: ignore[no-untyped-call]


def format_values(values: Iterable[Any]) -> list[bytes]:
    """Return numbers as `format_value` writes them; one ``repr`` of the whole list is far faster than one of each."""
    floats = list(map(float, values))
    joined = repr(floats)[1:-1].encode()
    texts = joined.split(b", ")
    if b"n" in joined or max(floats) >= 1e6:  # nan and inf have the letter
        return [
            text if -1e300 < value < 1e6 else format_value(value).encode()
            for value, text in zip(floats, texts, strict=True)
        ]
    return texts
