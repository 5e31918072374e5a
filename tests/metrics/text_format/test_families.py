"""A family is rendered with its header, in blocks, and with its extra samples where the format has them."""

from __future__ import annotations

import pytest
from prometheus_client import Metric

from metrics.text_format.families import BLOCK_SIZE, family_header, render_family
from metrics.text_format.formats import OPENMETRICS, TEXT


@pytest.mark.parametrize(("samples", "blocks"), [(0, []), (1, [1]), (256, [256]), (257, [256, 1]), (512, [256, 256])])
def test_a_family_is_rendered_in_blocks(samples: int, blocks: list[int]) -> None:
    metric = Metric("depth", "h", "gauge")
    for number in range(samples):
        metric.add_sample("depth", {"k": str(number)}, number)
    assert BLOCK_SIZE == 256
    for text_format in (TEXT, OPENMETRICS):
        rendered = list(render_family(metric, text_format))
        assert [count for _, count in rendered] == [0, *blocks]
        assert [text.count(b"\n") for text, _ in rendered[1:]] == blocks


def test_samples_that_text_does_not_know_are_gauge_families_of_their_own() -> None:
    metric = Metric("took", "Time.", "counter", "seconds")
    for name in ("took_seconds_created", "took_seconds_total", "took_seconds_gsum"):
        metric.add_sample(name, {}, 1)
    assert b"".join(text for text, _ in render_family(metric, TEXT)).decode().splitlines() == [
        "# HELP took_seconds_total Time.",
        "# TYPE took_seconds_total counter",
        "took_seconds_total 1.0",
        "# HELP took_seconds_created Time.",
        "# TYPE took_seconds_created gauge",
        "took_seconds_created 1.0",
        "# HELP took_seconds_gsum Time.",
        "# TYPE took_seconds_gsum gauge",
        "took_seconds_gsum 1.0",
    ]
    assert b"".join(text for text, _ in render_family(metric, OPENMETRICS)).decode().splitlines() == [
        "# HELP took_seconds Time.",
        "# TYPE took_seconds counter",
        "# UNIT took_seconds seconds",
        "took_seconds_created 1.0",
        "took_seconds_total 1.0",
        "took_seconds_gsum 1.0",
    ]


def test_help_is_escaped_and_only_openmetrics_escapes_quotes() -> None:
    assert family_header("a", 'x\\y\n"z"', "gauge", "", TEXT)[0].splitlines()[0] == rb'# HELP a x\\y\n"z"'
    assert family_header("a", 'x\\y\n"z"', "gauge", "", OPENMETRICS)[0].splitlines()[0] == rb"# HELP a x\\y\n\"z\""


@pytest.mark.parametrize(
    ("kind", "name", "text_kind"),
    [
        ("counter", "a_total", "counter"),
        ("info", "a_info", "gauge"),
        ("stateset", "a", "gauge"),
        ("gaugehistogram", "a", "histogram"),
        ("unknown", "a", "untyped"),
        ("summary", "a", "summary"),
    ],
)
def test_types_that_text_does_not_know_have_another(kind: str, name: str, text_kind: str) -> None:
    assert family_header("a", "h", kind, "", TEXT)[0].decode() == f"# HELP {name} h\n# TYPE {name} {text_kind}\n"
    assert family_header("a", "h", kind, "", OPENMETRICS)[0].decode() == f"# HELP a h\n# TYPE a {kind}\n"
