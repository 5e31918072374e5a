"""How families are written, in every format, from what `collect()` of any collector gives.

Text 0.0.4 is byte for byte what ``prometheus_client.generate_latest`` writes. Two of its faults in the other formats
are not repeated: OpenMetrics with a colon in a name, and an exemplar or a native histogram where the format has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from prometheus_client import Metric
from prometheus_client.samples import Exemplar, Sample
from prometheus_client.utils import floatToGoString

from .formats import Escaping, Format

BLOCK_SIZE = 256
"""Samples of one block: what is written without a pause."""

_LEGACY_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LEGACY_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_TEXT_TYPES = {"info": "gauge", "stateset": "gauge", "gaugehistogram": "histogram", "unknown": "untyped"}
_TEXT_SUFFIXES = {"counter": "_total", "info": "_info"}
_APART = ("_created", "_gcount", "_gsum")  # OpenMetrics's own samples; the text format has them as gauges, at the end


Block = tuple[bytes, int]
"""Written text and the number of samples in it."""


def render_family(metric: Metric, form: Format) -> Iterator[Block]:
    """Write a family in blocks."""
    if form.is_openmetrics:
        yield family_header(metric.name, metric.documentation, metric.type, metric.unit, form)
        yield from _blocks(openmetrics_line(sample, metric, form) for sample in metric.samples)
        return
    apart: dict[str, list[Sample]] = {}
    here: list[Sample] = []
    names = {metric.name + suffix: suffix for suffix in _APART}
    for sample in metric.samples:
        suffix = names.get(sample.name)
        (here if suffix is None else apart.setdefault(suffix, [])).append(sample)
    yield family_header(metric.name, metric.documentation, metric.type, metric.unit, form)
    yield from _blocks(text_line(sample, form) for sample in here)
    for suffix, samples in sorted(apart.items()):
        yield family_header(metric.name + suffix, metric.documentation, "gauge", "", form)
        yield from _blocks(text_line(sample, form) for sample in samples)


def _blocks(lines: Iterable[str]) -> Iterator[Block]:
    block = []
    for line in filter(None, lines):
        block.append(line)
        if len(block) == BLOCK_SIZE:
            yield "".join(block).encode(), len(block)
            block.clear()
    if block:
        yield "".join(block).encode(), len(block)


def family_header(name: str, documentation: str, kind: str, unit: str, form: Format) -> Block:
    """Write the lines before a family's samples."""
    text = documentation.replace("\\", r"\\").replace("\n", r"\n")
    if form.is_openmetrics:
        text = text.replace('"', r"\"")
    else:
        name, kind, unit = name + _TEXT_SUFFIXES.get(kind, ""), _TEXT_TYPES.get(kind, kind), ""
    shown = escape_metric_name(name, form.escaping)
    units = f"# UNIT {shown} {unit}\n" if unit else ""
    return f"# HELP {shown} {text}\n# TYPE {shown} {kind}\n{units}".encode(), 0


def text_line(sample: Sample, form: Format) -> str:
    """Write a sample in Prometheus's text format."""
    if getattr(sample, "native_histogram", None) is not None:
        return ""
    before, after = line_frame(sample.name, bool(sample.labels), form.escaping)
    time = "" if sample.timestamp is None else f" {int(float(sample.timestamp) * 1000)}"
    return f"{before}{label_pairs(sample.labels, form.escaping)}{after} {format_value(sample.value)}{time}\n"


def openmetrics_line(sample: Sample, metric: Metric, form: Format) -> str:
    """Write a sample in OpenMetrics, with its exemplar where OpenMetrics allows one."""
    if getattr(sample, "native_histogram", None) is not None:
        return ""
    before, after = line_frame(sample.name, bool(sample.labels), form.escaping)
    time = "" if sample.timestamp is None else f" {sample.timestamp}"
    shown = exemplar_suffix(sample.exemplar, form) if sample.exemplar and _may_have_exemplar(sample, metric) else ""
    return f"{before}{label_pairs(sample.labels, form.escaping)}{after} {format_value(sample.value)}{time}{shown}\n"


def _may_have_exemplar(sample: Sample, metric: Metric) -> bool:
    if metric.type == "counter":
        return sample.name.endswith("_total")
    return metric.type in ("histogram", "gaugehistogram") and sample.name.endswith("_bucket")


def exemplar_suffix(given: Exemplar, form: Format) -> str:
    """Write what follows the value of a sample that has an exemplar."""
    time = "" if given.timestamp is None else f" {given.timestamp}"
    return f" # {{{label_pairs(given.labels, form.escaping)}}} {format_value(given.value)}{time}"


def line_frame(name: str, labelled: bool, escaping: Escaping) -> tuple[str, str]:
    """Give what stands before and after a sample's labels; a name in quotes stands among them."""
    shown = escape_metric_name(name, escaping)
    if shown.startswith('"'):
        return f"{{{shown}{',' if labelled else ''}", "}"
    return (f"{shown}{{", "}") if labelled else (shown, "")


def label_pairs(labels: Mapping[str, Any], escaping: Escaping) -> str:
    """Write labels in the order of their names."""
    return ",".join(
        [f'{escape_label_name(name, escaping)}="{escape_label_value(labels[name])}"' for name in sorted(labels)]
    )


def escape_label_value(value: object) -> str:
    """Write a label's value; it may hold anything."""
    return str(value).replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def format_value(value: Any) -> str:
    """Write a value as Go does; Go turns to exponents sooner than Python."""
    value = float(value)
    return repr(value) if -1e300 < value < 1e6 else floatToGoString(value)  # type: ignore[no-untyped-call]


def format_values(values: Iterable[Any]) -> list[bytes]:
    """Write some values as `number` does; one ``repr`` of them all is far faster than one of each."""
    floats = list(map(float, values))
    shown = repr(floats)[1:-1].encode()
    texts = shown.split(b", ")
    if b"n" in shown or max(floats) >= 1e6:  # nan and inf have the letter
        return [
            text if -1e300 < value < 1e6 else format_value(value).encode()
            for value, text in zip(floats, texts, strict=True)
        ]
    return texts


@lru_cache(4096)
def escape_metric_name(name: str, escaping: Escaping) -> str:
    """Write a metric's or a sample's name."""
    return _escaped(name, escaping, _LEGACY_METRIC)


@lru_cache(4096)
def escape_label_name(name: str, escaping: Escaping) -> str:
    """Write a label's name."""
    return _escaped(name, escaping, _LEGACY_LABEL)


def _escaped(name: str, escaping: Escaping, legacy: re.Pattern[str]) -> str:
    if legacy.fullmatch(name) and escaping != "dots":
        return name
    if escaping == "allow-utf-8":
        return f'"{escape_label_value(name)}"'
    # A character is judged in its place: a digit may not come first.
    judged = [(char, legacy.fullmatch(f"{'_' if place else ''}{char}")) for place, char in enumerate(name)]
    if escaping == "underscores":
        return "".join(char if fits else "_" for char, fits in judged)
    if escaping == "dots":
        known = {"_": "__", ".": "_dot_"}
        return "".join(known.get(char, char if fits else "__") for char, fits in judged)
    return "U__" + "".join("__" if char == "_" else char if fits else _code_point(char) for char, fits in judged)


def _code_point(char: str) -> str:
    surrogate = "\ud800" <= char <= "\udfff"
    return "_FFFD_" if surrogate else f"_{ord(char):x}_"
