"""Evaluations of agents' answers: how many pass, how good they are, and what judging costs."""

from __future__ import annotations

from events import answer_evaluated

from .. import buckets
from ..rows import counter, histogram, info

LABEL_LIMITS = {
    "evaluator": 8,  # also pairs of agent and evaluator
    "evaluator_version": 4,
}
"""How many values an open label takes, by its name."""

# fmt: off
EVALUATIONS = (
    counter("evaluations_total", "Evaluations of agents' answers, under the agent that gave the answer.",
        answer_evaluated, labels=("agent_name", "evaluator", "result"), nested_in={"evaluator": "agent_name"}),
    histogram("evaluation_score", "Scores of agents' answers, from 0, the worst, to 1.",
        answer_evaluated, value="score", labels=("evaluator",), buckets=buckets.SCORE),
    counter("evaluation_cost_usd_total",
        "USD that evaluating answers cost; inside llm_cost_usd_total.",
        answer_evaluated, value="cost", labels=("evaluator",)),
    info("evaluator_info", "1 for each version of an evaluator that has evaluated.",
        answer_evaluated, labels=("evaluator", "evaluator_version"), nested_in={"evaluator_version": "evaluator"}),
)
# fmt: on
