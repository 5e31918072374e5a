"""What of a stream is content."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from events.bridges.langchain.chunk_sizes import size_of_chunk, size_of_event


def chunk(content: Any = "", calls: Any = (), **more: Any) -> Any:
    """Return a chunk with a message."""
    return SimpleNamespace(message=SimpleNamespace(content=content, tool_call_chunks=calls, additional_kwargs=more))


@pytest.mark.parametrize(
    ("piece", "size"),
    [
        (chunk(), (0, False)),
        (chunk("abc"), (3, False)),
        (chunk([{"type": "text", "text": "abc"}]), (3, False)),
        (chunk(["abc"]), (3, False)),
        (chunk([{"type": "thinking", "thinking": "abcd"}]), (4, True)),
        (chunk([{"type": "reasoning", "summary": [{"text": "abcd"}]}]), (4, True)),
        (chunk(reasoning_content="abcd"), (4, True)),
        (chunk("a", reasoning_content="abcd"), (1, False)),
        (chunk(calls=[{"name": "f", "args": "{}"}]), (3, False)),
        (chunk(calls=[{"name": None, "args": None}]), (0, False)),
        (chunk(None), (0, False)),
    ],
)
def test_a_chunk_has_the_size_of_its_text(piece: Any, size: tuple[int, bool]) -> None:
    assert size_of_chunk("", piece) == size


def test_without_a_message_the_token_is_the_text() -> None:
    assert size_of_chunk("abc", None) == (3, False)


@pytest.mark.parametrize(
    ("event", "size"),
    [
        ({"event": "message-start"}, (0, False)),
        ({"event": "content-block-delta", "delta": {"type": "text-delta", "text": "ab"}}, (2, False)),
        ({"event": "content-block-delta", "delta": {"type": "reasoning-delta", "reasoning": "ab"}}, (2, True)),
        ({"event": "content-block-delta", "delta": {"type": "tool-call-delta", "args": "{}"}}, (2, False)),
        ({"event": "content-block-delta", "delta": {"type": "block-delta", "fields": {"args": "{}"}}}, (2, False)),
        (None, (0, False)),
    ],
)
def test_an_event_has_the_size_of_its_delta(event: Any, size: tuple[int, bool]) -> None:
    assert size_of_event(event) == size
