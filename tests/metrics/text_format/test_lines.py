"""Each part of a sample's line is written as its format asks."""

from __future__ import annotations

import math
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.samples import Exemplar, Sample
from prometheus_client.utils import floatToGoString

from metrics.text_format.formats import OPENMETRICS, TEXT
from metrics.text_format.lines import (
    exemplar_suffix,
    format_value,
    format_values,
    line_frame,
    openmetrics_line,
    text_line,
)

EXEMPLAR = Exemplar({"trace_id": "abc"}, 0.5, 1700000000.25)


def openmetrics(kind: str, sample: Sample) -> str:
    return openmetrics_line(sample, Metric("calls", "h", kind), OPENMETRICS)


def test_an_exemplar_is_written_with_its_timestamp() -> None:
    assert exemplar_suffix(EXEMPLAR, OPENMETRICS) == ' # {trace_id="abc"} 0.5 1700000000.25'


def test_an_exemplar_without_a_timestamp_is_written_without_one() -> None:
    assert exemplar_suffix(Exemplar({"trace_id": "abc"}, 0.5), OPENMETRICS) == ' # {trace_id="abc"} 0.5'


def test_an_exemplar_at_time_zero_has_a_timestamp() -> None:
    assert exemplar_suffix(Exemplar({}, 1, 0), OPENMETRICS) == " # {} 1.0 0"


def test_the_timestamp_of_a_sample_is_in_milliseconds_in_text_and_in_seconds_in_openmetrics() -> None:
    sample = Sample("calls", {}, 1, 1700000000.25)
    assert text_line(sample, TEXT) == "calls 1.0 1700000000250\n"
    assert openmetrics("gauge", sample) == "calls 1.0 1700000000.25\n"


def test_a_sample_at_time_zero_has_a_timestamp_and_one_without_a_time_has_none() -> None:
    assert text_line(Sample("calls", {}, 1, 0), TEXT) == "calls 1.0 0\n"
    assert openmetrics("gauge", Sample("calls", {}, 1, 0)) == "calls 1.0 0\n"
    assert text_line(Sample("calls", {}, 1), TEXT) == "calls 1.0\n"
    assert openmetrics("gauge", Sample("calls", {}, 1)) == "calls 1.0\n"


@pytest.mark.parametrize(
    ("kind", "name", "allowed"),
    [
        ("counter", "calls_total", True),
        ("counter", "calls_created", False),
        ("histogram", "calls_bucket", True),
        ("histogram", "calls_sum", False),
        ("histogram", "calls_count", False),
        ("gaugehistogram", "calls_bucket", True),
        ("gaugehistogram", "calls_gsum", False),
        ("gauge", "calls_total", False),
        ("summary", "calls_bucket", False),
    ],
)
def test_an_exemplar_is_written_only_where_openmetrics_allows_one(kind: str, name: str, allowed: bool) -> None:
    line = openmetrics(kind, Sample(name, {}, 1, None, EXEMPLAR))
    assert line == f"{name} 1.0{exemplar_suffix(EXEMPLAR, OPENMETRICS) if allowed else ''}\n"


def test_text_has_no_exemplars() -> None:
    assert text_line(Sample("calls_total", {}, 1, None, EXEMPLAR), TEXT) == "calls_total 1.0\n"


def test_a_native_histogram_has_no_line() -> None:
    class NativeSample(Sample):
        native_histogram: Any = object()

    sample = NativeSample("calls", {}, 1)
    assert text_line(sample, TEXT) == ""
    assert openmetrics("histogram", sample) == ""


@pytest.mark.parametrize(
    ("name", "labelled", "frame"),
    [
        ("calls", False, ("calls", "")),
        ("calls", True, ("calls{", "}")),
        ("http.calls", False, ('{"http.calls"', "}")),
        ("http.calls", True, ('{"http.calls",', "}")),
    ],
)
def test_a_quoted_name_stands_inside_the_braces(name: str, labelled: bool, frame: tuple[str, str]) -> None:
    assert line_frame(name, labelled, "allow-utf-8") == frame


VALUES = [
    0.0, -0.0, 1.0, 999_999.0, 999_999.9999, 1e6, 1e6 + 1, 1234567.8, -1e6, -1234567.8, 1e-5, 5e-324, 1e299, -1e299,
    -1e300, -1.5e300, 1e300, 1e21, math.inf, -math.inf, math.nan,
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
def test_a_value_is_written_as_prometheus_client_writes_it(value: float) -> None:
    assert format_value(value) == floatToGoString(value)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("value", VALUES)
def test_values_are_written_alike_alone_and_together(value: float) -> None:
    for values in ([value], [1.5, value], [value, 2.5], [1, value, True]):
        assert format_values(values) == [format_value(each).encode() for each in values]
