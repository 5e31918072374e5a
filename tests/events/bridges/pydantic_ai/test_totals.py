"""Counts that stand beside a prompt or a completion are added by the provider's own total, and none is added twice."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_ai.usage import RequestUsage

from events.bridges.model_calls.token_usage import MAX_TOKENS
from events.bridges.pydantic_ai.reported import Reported
from events.bridges.pydantic_ai.usage_corrections import (
    correct_totals,
    is_cumulative,
    reported_detail,
    told,
)


def corrected(prompt: int, completion: int, total: Any = None, **more: Any) -> tuple[int, int, int | None]:
    """Return the tokens of the prompt, the completion and the reasoning after they were corrected."""
    usage = RequestUsage(input_tokens=prompt, output_tokens=completion, **more)
    reported = {} if total is None else {"total_tokens": total, "completion_tokens": completion}
    correct_totals(usage, Reported(usage=reported))
    return usage.input_tokens, usage.output_tokens, told(usage, "output_reasoning_tokens")


@pytest.mark.parametrize(
    ("total", "more", "expected"),
    [
        (15, {}, (10, 5, None)),
        (19, {"cache_read_tokens": 4}, (14, 5, None)),
        (19, {"cache_write_tokens": 4}, (14, 5, None)),
        (19, {"cache_read_tokens": 1, "cache_write_tokens": 3}, (14, 5, None)),
        (18, {"cache_read_tokens": 4}, (10, 5, None)),  # it is not what was cached
        (19, {"cache_read_tokens": 4, "output_reasoning_tokens": 4}, (10, 9, 4)),
        (18, {"output_reasoning_tokens": 3}, (10, 8, 3)),
        (12, {"output_reasoning_tokens": 3}, (10, 2, 3)),
        (18, {}, (10, 8, 3)),
        (17, {"output_reasoning_tokens": 3}, (10, 5, 3)),
        (15, {"output_reasoning_tokens": 7}, (10, 12, 7)),
        (None, {"output_reasoning_tokens": 7}, (10, 12, 7)),
        (None, {"output_reasoning_tokens": 5}, (10, 5, 5)),
        (None, {"output_reasoning_tokens": 6}, (10, 11, 6)),
        (None, {"output_reasoning_tokens": MAX_TOKENS - 1}, (10, MAX_TOKENS + 4, MAX_TOKENS - 1)),
        (None, {"output_reasoning_tokens": MAX_TOKENS}, (10, 5, MAX_TOKENS)),
        ("18", {}, (10, 5, None)),
        (True, {}, (10, 5, None)),
    ],
)
def test_a_total_says_what_stands_beside_its_parts(total: Any, more: dict[str, int], expected: Any) -> None:
    assert corrected(10, 5, total, **more) == expected


@pytest.mark.parametrize(
    ("prompt", "completion", "total", "expected"),
    [(10, 0, 13, (10, 0, None)), (0, 5, 8, (0, 5, None)), (1, 5, 9, (1, 8, 3)), (10, 1, 14, (10, 4, 3))],
)
def test_without_a_prompt_or_a_completion_nothing_is_known_to_stand_beside_it(
    prompt: int, completion: int, total: int, expected: Any
) -> None:
    assert corrected(prompt, completion, total) == expected


def test_reasoning_beside_no_completion_is_left_alone() -> None:
    assert corrected(10, 0, None, output_reasoning_tokens=3) == (10, 0, 3)


def test_a_total_of_another_protocol_says_nothing() -> None:
    usage = RequestUsage(input_tokens=10, output_tokens=5)
    correct_totals(usage, Reported(usage={"total_tokens": 18}))
    assert usage.output_tokens == 5


@pytest.mark.parametrize(
    ("details", "found"),
    [({}, None), ({"a": 0}, 0), ({"a": 0, "b": 3}, 3), ({"a": 2, "b": 3}, 2), ({"b": 0}, 0), ({"c": 1}, None)],
)
def test_a_detail_is_the_first_that_is_more_than_nothing(details: dict[str, int], found: int | None) -> None:
    assert reported_detail(RequestUsage(details=details), ("a", "b")) == found


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([(1, 1), (1, 1)], True),
        ([(1, 1), (2, 3)], True),
        ([(2, 1), (1, 3)], False),
        ([(1, 2), (2, 1)], False),
        ([(1, 1)], True),
        ([(1, 1), (2, "x")], False),
    ],
)
def test_usages_are_running_sums_where_no_count_falls(counts: list[Any], expected: bool) -> None:
    assert is_cumulative([RequestUsage(input_tokens=one, output_tokens=two) for one, two in counts]) is expected
