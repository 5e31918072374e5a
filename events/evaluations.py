"""Events of evaluations: what a judge, a person or a check says of an agent's answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .bus.fields import Dollars, Label, inherited
from .bus.signal import Signal

EvaluationResult = Literal["pass", "fail", "error"]
"""Whether an answer is good enough; ``error`` where the evaluation itself failed, so that nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerEvaluated:
    """An answer of an agent was evaluated.

    ``agent_name`` is the agent that gave the answer, ``evaluator`` who or what evaluated it, and ``evaluator_version``
    by which version of its prompt or rules. ``score`` is from 0, the worst, to 1; None where there is none. ``cost`` is
    what the evaluation itself cost, None where nobody knows: it is part of what the judge's own model calls cost.
    """

    agent_name: Label
    evaluator: Label
    evaluator_version: Label = "unknown"
    result: EvaluationResult
    score: float | None = None
    cost: Dollars | None = None
    workflow_type: Label = inherited()
    run_id: str = inherited("")


answer_evaluated = Signal(AnswerEvaluated)
