"""A scraper gets the format and the encoding that it likes best, and always some."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.exposition.content_encoding import choose_encoding
from metrics.exposition.content_type import choose_format
from metrics.text_format.formats import OFFERED_FORMATS, OPENMETRICS, OPENMETRICS_0, TEXT, TEXT_1, Format

OM, UTF8 = "application/openmetrics-text", "allow-utf-8"
PROMETHEUS_2 = f"{OM};version=1.0.0,{OM};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/*", TEXT),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", TEXT),
        (PROMETHEUS_2, OPENMETRICS),
        (f"{OM};version=0.0.1", OPENMETRICS_0),
        (OM, OPENMETRICS),
        (f"{OM};version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3", Format(OM, "1.0.0", UTF8)),  # type: ignore[arg-type]
        (f"{OM};q=0.2, text/plain;q=0.9", TEXT),
        (f"{OM};q=0, */*", TEXT),
        ("text/plain;version=0.0.4;q=0, */*;q=0.1", OPENMETRICS),
        ("text/plain;version=1.0.0", TEXT_1),
        ('TEXT/PLAIN; Version="1.0.0"', TEXT_1),
        (f"text/plain, {OM}", TEXT),
        (f"{OM}, text/plain", OPENMETRICS),
        ("application/*", OPENMETRICS),
        # What is not there, or can't be read, counts as absent.
        (f"{OM};version=2.0.0, text/plain;q=0.1", TEXT),
        (f"{OM};version=99.9", TEXT),
        (f"{OM};version=abc", TEXT),
        ("text/plain;version=1.x", TEXT),
        (f"{OM};q=high, text/plain;q=0.1", TEXT),
        (f"{OM};q=nan", TEXT),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", TEXT),
        ("*/*;q=0", TEXT),
        (";;;,,,=", TEXT),
    ],
)
def test_the_format_that_a_scraper_prefers(accept: str, form: Format) -> None:
    assert choose_format(accept) == form


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        ("", "identity"),
        ("gzip", "gzip"),
        ("*", "gzip"),
        ("zstd", "zstd"),
        ("gzip, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("gzip;q=0", "identity"),
        ("identity, gzip;q=0.5", "identity"),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("br", "identity"),
        ("*;q=0", "identity"),
        ("identity;q=0", "identity"),
        ("gzip;q=x", "identity"),
    ],
)
def test_the_encoding_that_a_scraper_prefers(header: str, encoding: str) -> None:
    assert choose_encoding(header, ("zstd", "gzip")) == encoding


def test_zstd_only_where_there_is_one() -> None:
    assert choose_encoding("zstd", ("gzip",)) == "identity"
    assert choose_encoding("zstd, gzip;q=0.1", ("gzip",)) == "gzip"


@given(st.text() | st.lists(st.sampled_from([*f'{OM};=,q01.*/ "', OM, "text/plain", "version=", "q="])).map("".join))
def test_no_header_fails(header: str) -> None:
    assert choose_format(header).version in {offered.version for offered in OFFERED_FORMATS}
    assert choose_encoding(header, ("zstd", "gzip")) in ("zstd", "gzip", "identity")
