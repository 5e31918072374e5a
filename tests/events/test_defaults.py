"""What an event says of a field that is left out."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

import events
from events import DatabaseUsed, LLMAttempted
from events.bus.fields import Total, total_fields

SIGNALS: dict[str, Any] = {name: each for name, each in vars(events).items() if isinstance(each, events.Signal)}

NUMBERS = {
    ("agent_finished", "llm_calls"): 0,
    ("agent_finished", "tool_calls"): 0,
    ("agent_finished", "prompt_tokens"): 0,
    ("agent_finished", "completion_tokens"): 0,
    ("database_used", "repeated"): 0,
    ("label_overflowed", "count"): 1,
    ("listener_delivered", "count"): 1,
    ("llm_attempted", "attempt"): 1,
    ("llm_configured", "configured"): 1,
    ("llm_called", "attempts"): 1,
    ("workflow_billed_late", "llm_calls"): 0,
    ("workflow_billed_late", "prompt_tokens"): 0,
    ("workflow_billed_late", "completion_tokens"): 0,
    ("workflow_finished", "llm_calls"): 0,
    ("workflow_finished", "prompt_tokens"): 0,
    ("workflow_finished", "completion_tokens"): 0,
}
"""The defaults that are numbers; every other amount is unknown."""

CALLS = {
    "llm_calls": Total("llm_called", None),
    "prompt_tokens": Total("llm_called", "prompt_tokens"),
    "completion_tokens": Total("llm_called", "completion_tokens"),
    "cost": Total("llm_called", "cost"),
    "own_prompt_tokens": Total("llm_called", "prompt_tokens", own=True),
    "own_completion_tokens": Total("llm_called", "completion_tokens", own=True),
    "own_cost": Total("llm_called", "cost", own=True),
}


def defaults(kind: type) -> dict[tuple[str, str], Any]:
    return {
        (name, field.name): field.default
        for name, signal in SIGNALS.items()
        for field in fields(signal.event)
        if type(field.default) is kind
    }


def test_an_attempt_is_the_first_one() -> None:
    assert LLMAttempted(model="m", outcome="success", duration=0.1).attempt == 1


def test_a_scope_repeated_no_statement() -> None:
    assert DatabaseUsed(scope="http", queries=1, duration=0.1).repeated == 0


def test_an_amount_is_unknown_unless_it_is_a_sum_or_a_count() -> None:
    assert defaults(int) == NUMBERS
    assert defaults(float) == {("llm_process_read", "cpu_time"): 0.0}  # added up from read to read


def test_a_flag_is_unset_but_for_engines_of_ones_own() -> None:
    assert {field for (_, field), value in defaults(bool).items() if value} == {"own"}
    assert all(value for (_, field), value in defaults(bool).items() if field == "own")


@pytest.mark.parametrize(
    ("event", "totals"),
    [
        (events.AgentFinished, {**CALLS, "tool_calls": Total("tool_called", None)}),
        (events.WorkflowFinished, CALLS),
    ],
)
def test_an_end_sums_what_was_called_inside(event: Any, totals: dict[str, Total]) -> None:
    """A sum that is its own leaves out what spans of the same kind inside have in theirs."""
    assert total_fields(event) == totals
