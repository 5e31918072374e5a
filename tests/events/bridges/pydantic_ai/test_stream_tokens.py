"""The time between the tokens of a stream, from when its pieces of text were seen to come."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pydantic_ai.messages import (
    FinalResultEvent,
    PartDeltaEvent,
    PartEndEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)

from events.bridges.model_calls.token_times import TokenTimes
from events.bridges.pydantic_ai.stream_tokens import is_token, record_tokens, token_size


def text(content: str) -> Any:
    return PartDeltaEvent(index=1, delta=TextPartDelta(content_delta=content))


def thought(content: str) -> Any:
    return PartDeltaEvent(index=0, delta=ThinkingPartDelta(content_delta=content))


def end_of_thinking(content: str) -> Any:
    return PartEndEvent(index=0, part=ThinkingPart(content=content))


def recorded(*pieces: tuple[float, Any], sees_arrival: bool = True) -> TokenTimes:
    times = TokenTimes()
    for now, event in pieces:
        record_tokens(times, event, now, sees_arrival=sees_arrival)
    return times


def test_the_tokens_after_the_first_piece_have_the_share_of_their_text() -> None:
    """Of 12 tokens, those of 8 of 12 characters came in 4 seconds."""
    times = recorded((10.0, text("four")), (12.0, text("four")), (14.0, text("four")))
    assert times.first_at == 10.0
    assert times.seconds_per_token(12, None) == pytest.approx(0.5)
    assert times.seconds_per_token(12, 0) == pytest.approx(0.5)


@pytest.mark.parametrize("completion", [None, 0])
def test_without_a_count_of_tokens_their_time_is_unknown(completion: int | None) -> None:
    assert recorded((1.0, text("a")), (2.0, text("b"))).seconds_per_token(completion, None) is None


@pytest.mark.parametrize("pieces", [[], [(1.0, text("a"))], [(1.0, text("a")), (1.0, text("b"))]])
def test_what_came_at_once_has_no_time_between_tokens(pieces: list[tuple[float, Any]]) -> None:
    assert recorded(*pieces).seconds_per_token(10, None) is None


def test_reasoning_that_is_counted_is_left_out_of_the_time_between_tokens() -> None:
    """The piece of a thought is told by its delta, which has no part."""
    times = recorded((1.0, thought("ponders")), (5.0, thought("still")), (6.0, text("ab")), (8.0, text("cd")))
    assert times.first_at == 1.0
    assert times.seconds_per_token(10, 6) == pytest.approx(1.0)  # 2 of 4 tokens in 2 seconds
    assert times.seconds_per_token(16, None) == pytest.approx(7 / (16 * 9 / 16))


@pytest.mark.parametrize("reasoning", [10, 11])
def test_an_answer_that_is_all_reasoning_has_no_time_between_its_other_tokens(reasoning: int) -> None:
    times = recorded((1.0, thought("ponders")), (6.0, text("ab")), (8.0, text("cd")))
    assert times.seconds_per_token(10, reasoning) is None


def test_a_thought_that_begins_with_text_is_reasoning_too() -> None:
    begins = PartStartEvent(index=0, part=ThinkingPart(content="ponders"))
    times = recorded((1.0, begins), (6.0, text("ab")), (8.0, text("cd")))
    assert times.seconds_per_token(10, 6) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("ending", "reasoning", "is_known"),
    [
        (end_of_thinking(""), None, False),
        (end_of_thinking(""), 0, False),
        (end_of_thinking(""), 3, True),
        (end_of_thinking("shown"), None, True),
        (PartEndEvent(index=0, part=TextPart(content="")), None, True),
        (PartStartEvent(index=0, part=ThinkingPart(content="")), None, True),
    ],
)
def test_reasoning_that_is_hidden_and_not_counted_leaves_the_time_unknown(
    ending: Any, reasoning: int | None, is_known: bool
) -> None:
    """It is hidden where its part ends without text; a part that only begins without it may get some."""
    times = recorded((1.0, ending), (2.0, text("ab")), (3.0, text("cd")))
    assert (times.seconds_per_token(10, reasoning) is not None) is is_known


def test_text_that_waited_for_its_reader_has_tokens_and_no_time() -> None:
    times = TokenTimes()
    for now, event, sees_arrival in ((1.0, text("ab"), False), (2.0, text("cd"), True), (4.0, text("ef"), True),
                                     (9.0, text("gh"), False)):  # fmt: skip
        record_tokens(times, event, now, sees_arrival=sees_arrival)
    assert times.first_at == 1.0
    assert times.seconds_per_token(8, None) == pytest.approx(1.0)  # 2 of 8 tokens, from 2 to 4
    assert recorded((1.0, text("ab")), (2.0, text("cd")), sees_arrival=False).seconds_per_token(4, None) is None


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (text("a"), True),
        (PartStartEvent(index=0, part=TextPart(content="a")), True),
        (PartStartEvent(index=0, part=TextPart(content="")), False),
        (PartStartEvent(index=0, part=ToolCallPart(tool_name="search")), True),
        (PartStartEvent(index=0, part=SimpleNamespace(args="{}")), True),  # type: ignore[arg-type]  # like a part
        (PartEndEvent(index=0, part=TextPart(content="a")), False),
        (FinalResultEvent(tool_name=None, tool_call_id=None), False),
    ],
)
def test_an_event_is_a_token_if_it_has_content(event: Any, expected: bool) -> None:
    assert is_token(event) is expected


@pytest.mark.parametrize(
    ("event", "size"),
    [
        (text("four"), 4),
        (text(""), 1),
        (PartStartEvent(index=0, part=TextPart(content="four")), 4),
        (PartStartEvent(index=0, part=ToolCallPart(tool_name="search", args={"a": 1})), len("{'a': 1}")),
        (PartDeltaEvent(index=0, delta=ToolCallPartDelta(args_delta='{"a"')), 4),
        (PartDeltaEvent(index=0, delta=ToolCallPartDelta()), 1),
    ],
)
def test_the_size_of_a_token_is_that_of_its_text(event: Any, size: int) -> None:
    assert token_size(event) == size
