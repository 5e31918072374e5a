"""A scraper gets its numbers, whatever headers it sends."""

from __future__ import annotations

import gzip

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest

from metrics import scrape


@pytest.fixture
def counted(registry: CollectorRegistry) -> CollectorRegistry:
    Counter("calls_total", "Calls.", registry=registry).inc(3)
    return registry


def test_plain_text_by_default(counted: CollectorRegistry) -> None:
    scraped = scrape(counted)
    assert scraped.body == generate_latest(counted)
    assert scraped.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_openmetrics_when_asked_for(counted: CollectorRegistry) -> None:
    scraped = scrape(counted, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert scraped.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert scraped.body.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    "accept", ["application/openmetrics-text; version=abc", "text/plain; version=1.x", "rubbish", ";;;,,,=", "\x00"]
)
def test_a_header_that_can_not_be_read_counts_as_absent(counted: CollectorRegistry, accept: str) -> None:
    scraped = scrape(counted, accept)
    assert scraped.body == generate_latest(counted)


@pytest.mark.parametrize("encodings", ["gzip", "gzip, deflate", "br;q=1.0, gzip;q=0.8", "*", "GZIP"])
def test_gzip_when_acceptable(counted: CollectorRegistry, encodings: str) -> None:
    scraped = scrape(counted, accept_encoding=encodings)
    assert scraped.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(scraped.body) == generate_latest(counted)


@pytest.mark.parametrize("encodings", ["", "identity", "br", "gzip;q=0", "gzip; q=0.0"])
def test_no_gzip_when_not(counted: CollectorRegistry, encodings: str) -> None:
    scraped = scrape(counted, accept_encoding=encodings)
    assert "Content-Encoding" not in scraped.headers
    assert scraped.body == generate_latest(counted)
