"""The readers of ASGI scopes and headers."""

from __future__ import annotations

from typing import Any

import pytest

from events.bridges.asgi_types import content_length, has_header, header_text


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ([(b"host", b"x"), (b"content-length", b"12")], 12),
        (((b"content-length", b"0"),), 0),
        ([(b"content-length", b"many")], None),
        ([(b"content-length", b"-1")], None),
        ([], None),
        (iter([(b"content-length", b"12")]), None),
        (None, None),
    ],
)
def test_content_length_is_read_from_headers_that_can_be_read_twice(headers: Any, length: int | None) -> None:
    assert content_length(headers) == length


def test_an_iterator_of_headers_is_not_consumed() -> None:
    headers = iter([(b"content-length", b"12")])
    content_length(headers)
    assert list(headers) == [(b"content-length", b"12")]


def test_a_header_is_found_by_its_name_in_lower_case() -> None:
    headers = [(b"expect", b"100-continue")]
    assert has_header(headers, b"expect")
    assert not has_header(headers, b"transfer-encoding")


def test_a_header_that_was_sent_twice_is_joined_by_a_comma() -> None:
    headers = [(b"Accept", b"text/plain"), (b"host", b"x"), (b"accept", b"*/*")]
    assert header_text(headers, b"accept") == "text/plain, */*"
    assert header_text(headers, b"authorization") == ""
