"""Credentials in an address are sent as a header and never shown."""

from __future__ import annotations

from base64 import b64encode

import pytest

from metrics.diagnostics.scrape_client import split_credentials, strip_credentials


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
