"""Events of guardrails: checks of what goes into an agent, a model or a tool, or comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .bus.fields import Label, Seconds, inherited
from .bus.signal import Signal

GuardrailKind = Literal["input", "output", "tool", "unknown"]
"""What is checked: a user's words or a prompt, an answer, or the use of a tool."""

GuardrailOutcome = Literal["passed", "triggered", "error", "cancelled", "unknown"]
"""What a check came to: ``triggered`` where it let nothing pass, or changed it; ``error`` where the guardrail itself
failed, so that nobody knows; ``cancelled`` where it was stopped, as by another one that triggered; ``unknown`` where
whoever tells of it does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardrailChecked:
    """A guardrail checked an input, an output or the use of a tool.

    ``error`` is the class of what the guardrail itself raised, "" where it did not fail.
    """

    guardrail: Label
    kind: GuardrailKind = "unknown"
    outcome: GuardrailOutcome
    duration: Seconds
    error: str = ""
    agent_name: Label = inherited()
    workflow_type: Label = inherited()
    run_id: str = inherited("")


guardrail_checked = Signal(GuardrailChecked)
