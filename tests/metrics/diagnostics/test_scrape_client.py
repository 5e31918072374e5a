"""Credentials in an address are sent as a header and never shown."""

from __future__ import annotations

from base64 import b64encode

import pytest
from prometheus_client.parser import text_string_to_metric_families

from metrics.diagnostics.scrape_client import Unreachable, parse_samples, split_credentials, strip_credentials

CALLS = """\
# HELP acme_calls Calls: their name lacks _total.
# TYPE acme_calls counter
acme_calls{model="a\\n# HELP b"} {calls}
# a mere comment
acme_calls{model="b"} 2
"""
SIZES = """\

# TYPE acme_size histogram
# HELP acme_size Sizes.

acme_size_bucket{le="1"} 1
acme_size_bucket{le="+Inf"} 2
acme_size_sum 3
acme_size_count 2
untyped_total 4
# HELP untyped Nothing.
# EOF
"""


@pytest.mark.parametrize("text", [CALLS, SIZES, CALLS + SIZES, SIZES + CALLS, CALLS + "acme_up 1\n" + SIZES, "up 1"])
def test_a_text_is_parsed_family_by_family_as_it_is_whole(text: str) -> None:
    for calls in ("1", "5", "1"):
        scraped = text.replace("{calls}", calls)
        families = text_string_to_metric_families(scraped)
        assert parse_samples(scraped, "") == tuple(sample for family in families for sample in family.samples)


def test_a_family_that_is_the_same_in_the_next_scrape_is_parsed_once() -> None:
    first, second = (parse_samples(CALLS.replace("{calls}", calls) + SIZES, "") for calls in ("1", "5"))
    assert [sample.value for sample in first[:2]] == [1, 2]
    assert [sample.value for sample in second[:2]] == [5, 2]
    assert [before is after for before, after in zip(first, second, strict=True)] == [False] * 2 + [True] * 5


@pytest.mark.parametrize("text", ["", "<html>", CALLS + "<html>", "# HELP a b\n"])
def test_what_is_no_text_of_metrics_in_any_part_is_refused(text: str) -> None:
    with pytest.raises(Unreachable, match="not with metrics"):
        parse_samples(text.replace("{calls}", "1"), "http://acme")


@pytest.mark.parametrize(
    ("url", "plain", "user"),
    [
        ("http://any:hush@host:1/metrics", "http://host:1/metrics", "any:hush"),
        ("https://any:a%40b@host", "https://host", "any:a@b"),
    ],
)
def test_a_password_in_an_address_becomes_a_header(url: str, plain: str, user: str) -> None:
    assert split_credentials(url) == (plain, {"Authorization": f"Basic {b64encode(user.encode()).decode()}"})


def test_an_address_without_a_password_is_unchanged() -> None:
    for url in ("http://host:1/metrics?name[]=a@b", "host", "file:///a@b"):
        assert split_credentials(url) == (url, {})


@pytest.mark.parametrize(
    ("url", "printed"),
    [
        ("http://host:1/metrics", "http://host:1/metrics"),
        ("any:hush@host/metrics", "host/metrics"),
        ("http://any:hush@host/metrics", "http://host/metrics"),
        ("HTTPS://any:hu/sh@host/metrics", "HTTPS://host/metrics"),
        ("http://any:hu@sh@host", "http://host"),
        ("http:/any:hush@host", "host"),
        ("any:hu://sh@host", "host"),
        ("ftp://any:hu\nsh@host", "host"),
        ("127.0.0.1:8000", "127.0.0.1:8000"),
    ],
)
def test_an_address_is_printed_without_what_may_be_a_password(url: str, printed: str) -> None:
    """Whatever its form: what cannot be read as an address may be one with a mistake in it."""
    assert strip_credentials(url) == printed
