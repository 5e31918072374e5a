"""The format and the encoding that a scraper prefers are chosen, and always some."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.exposition.accept_parsing import parse_accept
from metrics.exposition.content_encoding import choose_encoding
from metrics.exposition.content_type import choose_format
from metrics.text_format.formats import OFFERED_FORMATS, OPENMETRICS, OPENMETRICS_0, PROTOBUF, TEXT, TEXT_1, Format

OM, UTF8 = "application/openmetrics-text", "allow-utf-8"
DELIMITED = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
MESSAGES = (PROTOBUF.media_type, PROTOBUF.version)
PROMETHEUS_2 = f"{OM};version=1.0.0,{OM};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


@pytest.mark.parametrize(
    ("accept", "text_format"),
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
        # The weight of a format is that of the range that names it most exactly: by version, name or type.
        (f"{OM};version=1.0.0;q=0.5, {OM};q=0.9", OPENMETRICS_0),
        (f"{OM};q=0.9, {OM};version=1.0.0;q=0.5", OPENMETRICS_0),
        (f"{OM};q=0.1, application/*;q=0.9, text/plain;q=0.5", TEXT),
        (f"application/*;q=0.1, */*;q=0.9, {OM};version=1.0.0;q=0.2", TEXT),
        # Among equal weights the more exact range wins, then the earlier one.
        (f"text/*, {OM}", OPENMETRICS),
        (f"text/plain, {OM};version=1.0.0", OPENMETRICS),
        ("*/*, application/*", OPENMETRICS),
        (f"{OM};version=0.0.1, {OM};version=1.0.0", OPENMETRICS_0),
        # A format that is not offered, or a part that cannot be parsed, counts as absent.
        (f"{OM};version=2.0.0, text/plain;q=0.1", TEXT),
        (f"{OM};version=99.9", TEXT),
        (f"{OM};version=abc", TEXT),
        ("text/plain;version=1.x", TEXT),
        (f"{OM};q=high, text/plain;q=0.1", TEXT),
        (f"{OM};q=nan", TEXT),
        # Messages are chosen where they are named with their parameters.
        (DELIMITED, PROTOBUF),
        (f"{DELIMITED},{OM};version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", PROTOBUF),
        (f"{DELIMITED};escaping=allow-utf-8;q=0.6,{OM};version=1.0.0;q=0.5", Format(*MESSAGES, UTF8)),  # type: ignore[arg-type]
        (f"{DELIMITED};q=0.5,{OM};q=0.6", OPENMETRICS),
        (f"{DELIMITED};q=0,*/*;q=0.1", TEXT),
        ("application/vnd.google.protobuf", TEXT),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text,*/*;q=0.1", TEXT),
        ("application/vnd.google.protobuf;proto=another.Message;encoding=delimited", TEXT),
        ("*/*;q=0", TEXT),
        (";;;,,,=", TEXT),
    ],
)
def test_the_preferred_format_is_chosen(accept: str, text_format: Format) -> None:
    assert choose_format(accept) == text_format


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
def test_the_preferred_encoding_is_chosen(header: str, encoding: str) -> None:
    assert choose_encoding(header, ("zstd", "gzip")) == encoding


def test_zstd_is_chosen_only_where_it_is_available() -> None:
    assert choose_encoding("zstd", ("gzip",)) == "identity"
    assert choose_encoding("zstd, gzip;q=0.1", ("gzip",)) == "gzip"


@pytest.mark.slow
@given(st.text() | st.lists(st.sampled_from([*f'{OM};=,q01.*/ "', OM, "text/plain", "version=", "q="])).map("".join))
def test_no_header_raises(header: str) -> None:
    assert choose_format(header).version in {offered.version for offered in OFFERED_FORMATS}
    assert choose_encoding(header, ("zstd", "gzip")) in ("zstd", "gzip", "identity")


@pytest.mark.parametrize(("quality", "weight"), [("0", 0.0), ("1", 1.0), ("0.5", 0.5)])
def test_a_q_value_is_the_weight_of_a_part(quality: str, weight: float) -> None:
    assert [part.weight for part in parse_accept(f"gzip;q={quality}")] == [weight]


@pytest.mark.parametrize("quality", ["-0.1", "1.1", "nan", "x", "inf"])
def test_a_part_with_an_impossible_q_value_is_left_out(quality: str) -> None:
    assert [part.name for part in parse_accept(f"br;q={quality}, gzip")] == ["gzip"]


def test_parts_are_numbered_and_their_parameters_unquoted() -> None:
    [first, second] = parse_accept('text/plain; Version="0.0.4" ;q=0.5, */*')
    assert (first.name, first.parameters, first.position) == ("text/plain", {"version": "0.0.4", "q": "0.5"}, 0)
    assert (second.name, second.weight, second.position) == ("*/*", 1.0, 1)


def test_the_parts_of_an_endless_header_are_ignored() -> None:
    assert len(list(parse_accept("a," * 63 + "b"))) == 64
    assert [part.name for part in parse_accept("a," * 64 + "b")] == ["a"] * 64
