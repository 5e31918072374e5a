"""What an event says of a field that is left out."""

from __future__ import annotations

from events import DatabaseUsed, LLMAttempted


def test_an_attempt_is_the_first_one() -> None:
    assert LLMAttempted(model="m", outcome="success", duration=0.1).attempt == 1


def test_a_scope_repeated_no_statement() -> None:
    assert DatabaseUsed(scope="http", queries=1, duration=0.1).repeated == 0
