"""Each format that is offered names itself in the header, with its escaping where a scraper may choose one."""

from __future__ import annotations

from dataclasses import replace

from metrics.text_format.formats import OFFERED_FORMATS, OPENMETRICS


def test_the_content_types_are_those_that_prometheus_reads() -> None:
    assert [(each.content_type, each.is_openmetrics) for each in OFFERED_FORMATS] == [
        ("text/plain; version=0.0.4; charset=utf-8", False),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores", True),
        ("application/openmetrics-text; version=0.0.1; charset=utf-8", True),
        ("text/plain; version=1.0.0; charset=utf-8; escaping=underscores", False),
        (
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited;"
            " escaping=underscores",
            False,
        ),
    ]
    assert replace(OPENMETRICS, escaping="dots").content_type.endswith("; escaping=dots")
