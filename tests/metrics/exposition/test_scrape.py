"""A scrape is answered in the format and encoding that its headers ask for, whatever they hold."""

from __future__ import annotations

import gzip

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest

from events import metrics_rendered
from metrics import scrape


@pytest.fixture
def counted(registry: CollectorRegistry) -> CollectorRegistry:
    Counter("calls_total", "Calls.", registry=registry).inc(3)
    return registry


def test_text_is_the_default(counted: CollectorRegistry) -> None:
    response = scrape(counted)
    assert response.body == generate_latest(counted)
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_openmetrics_is_returned_when_accepted(counted: CollectorRegistry) -> None:
    response = scrape(counted, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert response.body.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    "accept", ["application/openmetrics-text; version=abc", "text/plain; version=1.x", "rubbish", ";;;,,,=", "\x00"]
)
def test_a_header_that_cannot_be_parsed_counts_as_absent(counted: CollectorRegistry, accept: str) -> None:
    response = scrape(counted, accept)
    assert response.body == generate_latest(counted)


@pytest.mark.parametrize("encodings", ["gzip", "gzip, deflate", "br;q=1.0, gzip;q=0.8", "*", "GZIP"])
def test_the_body_is_compressed_when_gzip_is_accepted(counted: CollectorRegistry, encodings: str) -> None:
    response = scrape(counted, accept_encoding=encodings)
    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(response.body) == generate_latest(counted)


@pytest.mark.parametrize("encodings", ["", "identity", "br", "gzip;q=0", "gzip; q=0.0"])
def test_the_body_is_not_compressed_when_gzip_is_not_accepted(counted: CollectorRegistry, encodings: str) -> None:
    response = scrape(counted, accept_encoding=encodings)
    assert "Content-Encoding" not in response.headers
    assert response.body == generate_latest(counted)


def test_the_headers_say_that_the_response_depends_on_the_request_and_is_not_cached(counted: CollectorRegistry) -> None:
    headers = scrape(counted).headers
    assert (headers["Vary"], headers["Cache-Control"]) == ("Accept, Accept-Encoding", "no-store")


@pytest.mark.parametrize(("names", "emits_series"), [(None, True), (["calls_total"], False)])
def test_only_a_scrape_of_everything_emits_how_many_series_there_are(
    counted: CollectorRegistry, names: list[str] | None, emits_series: bool
) -> None:
    with metrics_rendered.captured() as emitted:
        scrape(counted, names=names)
    assert [event.series is not None for event in emitted] == [emits_series]
