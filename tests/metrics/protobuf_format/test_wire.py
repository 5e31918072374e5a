"""Numbers and messages are read back by another implementation as they were written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.protobuf_format.native_histogram import native_fields, spans_and_deltas
from metrics.protobuf_format.wire import delimited, integer_field, packed_field, text_field, varint, zigzag
from tests.support.protobuf_scrapes import exponential_counts, schema, split_messages


@pytest.mark.parametrize(
    ("number", "encoded"),
    [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02"), (2**63, b"\x80" * 9 + b"\x01")],
)
def test_a_varint_has_its_lowest_bits_first(number: int, encoded: bytes) -> None:
    assert varint(number) == encoded


@pytest.mark.parametrize(
    ("number", "unsigned"), [(0, 0), (-1, 1), (1, 2), (-2, 3), (2**31 - 1, 2**32 - 2), (-(2**31), 2**32 - 1)]
)
def test_signed_numbers_near_0_are_small(number: int, unsigned: int) -> None:
    assert zigzag(number) == unsigned


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_timestamp_may_be_before_1970(milliseconds: int) -> None:
    assert schema().Metric.parse(integer_field(6, milliseconds)).timestamp_ms == milliseconds


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1))
def test_packed_numbers_are_a_repeated_field(numbers: list[int]) -> None:
    assert schema().Histogram.parse(packed_field(13, map(zigzag, numbers))).positive_delta == numbers


@pytest.mark.slow
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_a_stream_is_split_at_its_lengths(texts: list[str]) -> None:
    body = b"".join(delimited(text_field(2, text)) for text in texts)
    assert [schema().MetricFamily.parse(message).help for message in split_messages(body)] == texts


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        text_field(1, "\ud800")


@pytest.mark.slow
@given(st.dictionaries(st.integers(-200, 200), st.integers(1, 10**9)), st.integers(-4, 8), st.integers(0, 5))
def test_exponential_buckets_are_read_back(counts: dict[int, int], finest: int, zeroes: int) -> None:
    message = schema().Histogram.parse(native_fields(finest, 0.5, zeroes, sorted(counts.items())))
    assert (message.schema, message.zero_threshold, message.zero_count) == (finest, 0.5, zeroes)
    assert exponential_counts(message) == counts


def test_a_gap_of_one_or_two_is_no_further_span() -> None:
    assert spans_and_deltas([(0, 4), (1, 4), (4, 1), (8, 2)]) == ([(0, 5), (3, 1)], [4, 0, -4, 0, 1, 1])
    assert spans_and_deltas([]) == ([], [])
