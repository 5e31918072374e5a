"""The headers of a provider's response: its rate limits, and how long to wait."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from events.bridges.model_calls.response_headers import (
    MAX_RETRY_AFTER,
    lower_name,
    rate_limits,
    read_headers,
    retry_after,
    triples_of,
)


@pytest.mark.parametrize(
    ("headers", "limit"),
    [
        ({"x-ratelimit-limit-requests": "500"}, 500),
        ({"anthropic-ratelimit-requests-limit": "50"}, 50),
        ({"x-ratelimit-limit-requests": "0"}, 0),
        ({"x-ratelimit-limit-requests": "9" * 15}, 10**15 - 1),
        ({"x-ratelimit-limit-tokens": "500", "x-ratelimit-remaining-requests": "1"}, None),
        *(({"x-ratelimit-limit-requests": text}, None) for text in ("", "-1", "many", "1.5", "٣", "9" * 16)),
        ({}, None),
    ],
)
def test_a_rate_limit_is_a_whole_number_in_the_headers(headers: dict[str, str], limit: int | None) -> None:
    assert rate_limits(headers).get("limit_requests") == limit


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        (str(int(MAX_RETRY_AFTER)), MAX_RETRY_AFTER),
        (str(int(MAX_RETRY_AFTER) + 1), None),
        ("-0.001", None),
        ("0" * 63 + "5", 5.0),
        ("0" * 64 + "5", None),
    ],
)
def test_a_wait_that_is_asked_for_lasts_up_to_a_day(text: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": text}) == seconds


def test_the_rate_limits_are_under_the_names_of_the_event() -> None:
    headers = {"x-ratelimit-remaining-tokens": "7", "anthropic-ratelimit-requests-limit": "50"}
    assert rate_limits(headers) == {
        "limit_requests": 50, "limit_tokens": None, "remaining_requests": None, "remaining_tokens": 7,
    }  # fmt: skip


SENT = [("X-RateLimit-Limit-Requests", "500"), ("Content-Type", "text/plain"), ("retry-after", "2")]


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_headers_of_httpx_are_read_of_their_list_as_they_are_of_what_is_public(library: str) -> None:
    headers: Any = pytest.importorskip(library).Headers(SENT)
    public = SimpleNamespace(raw=headers.raw)
    assert triples_of(headers) is headers._list
    assert triples_of(headers) == triples_of(public)
    assert [lower_name(each) for each in triples_of(headers) or ()] == [name.lower().encode() for name, _ in SENT]
    for each in (headers, public, {name.lower(): text for name, text in SENT}):
        assert read_headers(each) == {"x-ratelimit-limit-requests": "500", "retry-after": "2"}
    assert read_headers(pytest.importorskip(library).Headers(SENT[1:2])) == {}
