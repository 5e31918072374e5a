"""The books of a studio: what its runs, its metrics and its model server say has to be the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import fsum, isclose

from prometheus_client.samples import Sample

from tests.support.samples import summed
from tests.support.studio import ENDED, WORKFLOWS

from .model_server import PRICES
from .scene import UNFINISHED, Scene

Ends = dict[tuple[str, ...], float]


@dataclass
class Books:
    """The figures of a quiet moment.

    Attributes:
        ends: How many runs ended, by status.
        difference: The sum of started less ended less active, without signs, over all workflows.
        sent: How many answers the model server sent whole.
        stored: How many attempts are stored whose tokens are those of an answer.
        interrupted: How many calls were under way when their process was killed, by the studio's own count.
        unread: How many answers were sent, but not read by the process that they were for.
        lost: How many answers were read, and are not stored.
        faults: What is not as it should be, each in a sentence.
    """

    ends: Counter[str]
    difference: float = 0.0
    sent: int = 0
    stored: int = 0
    interrupted: int = 0
    unread: int = 0
    lost: int = 0
    faults: list[str] = field(default_factory=list)


def balance(scene: Scene) -> Books:
    """Compare the rows of runs, the metrics and the model server; no run may be under way."""
    samples = scene.studio.scrape()
    rows = scene.rows("SELECT workflow_type, status, count(*) FROM runs GROUP BY 1, 2")
    ends: Ends = {(kind, status): float(number) for kind, status, number in rows}
    found = Books(Counter({status: int(sum(v for key, v in ends.items() if key[-1] == status)) for status in ENDED}))
    if left := scene.count("runs", UNFINISHED):
        found.faults.append(f"{left} runs have not ended")
    ids = {run_id for (run_id,) in scene.rows("SELECT id FROM runs")}
    if gone := set(scene.accepted) - ids:
        found.faults.append(f"{len(gone)} accepted runs are not stored")
    _compare_counts(found, samples, ends)
    _compare_usage(found, scene, samples)
    return found


def _compare_counts(found: Books, samples: list[Sample], ends: Ends) -> None:
    told = summed(samples, "workflows_total", "workflow_type", "status")
    if told != ends:
        found.faults.append(f"workflows_total is {_differences(told, ends)}")
    started, active = (
        summed(samples, name, "workflow_type") for name in ("workflows_started_total", "active_workflows")
    )
    for kind in WORKFLOWS:
        ended = sum(value for key, value in told.items() if key[0] == kind)
        difference = started.get((kind,), 0) - ended - active.get((kind,), 0)
        found.difference += abs(difference)
        if difference:
            found.faults.append(f"{kind}: started less ended less active is {difference:g}")


def _compare_usage(found: Books, scene: Scene, samples: list[Sample]) -> None:
    steps = scene.rows(
        "SELECT workflow_type, sum(prompt_tokens + completion_tokens), sum(cost) FROM steps"
        " JOIN runs ON runs.id = run_id GROUP BY 1"
    )
    tokens: Ends = {(kind,): float(total) for kind, total, _ in steps if total}
    if (told := summed(samples, "workflow_tokens_total", "workflow_type")) != tokens:
        found.faults.append(f"workflow_tokens_total is {_differences(told, tokens)}")
    cost = fsum(float(part or 0) for *_, part in steps)
    if not isclose(told_cost := sum(summed(samples, "workflow_cost_usd_total").values()), cost, rel_tol=1e-9):
        found.faults.append(f"workflow_cost_usd_total is {told_cost}, {cost} is stored")
    attempts = scene.rows("SELECT prompt_tokens, completion_tokens, llm_calls FROM attempts")
    stored = {int(prompt): int(completion) for prompt, completion, _ in attempts if prompt}
    sent = scene.model.sent
    found.sent, found.stored = len(sent), len(stored)
    found.interrupted = int(sum(summed(samples, "workflow_interrupted_calls_total").values()))
    missing = [answer for number, answer in sent.items() if number not in stored]
    found.unread = sum(not answer.is_read for answer in missing)
    found.lost = len(missing) - found.unread
    if invented := stored.keys() - sent.keys():
        found.faults.append(f"{len(invented)} answers are stored that were not sent")
    bill = fsum(sum(price * count for price, count in zip(PRICES, each, strict=True)) for each in stored.items())
    if not isclose(bill, cost, rel_tol=1e-9):
        found.faults.append(f"the runs cost {cost}, their tokens {bill}")


def _differences(told: Mapping[tuple[str, ...], float], stored: Mapping[tuple[str, ...], float]) -> str:
    keys: list[tuple[str, ...]] = sorted(key for key in told.keys() | stored.keys() if told.get(key) != stored.get(key))
    return ", ".join(f"{told.get(key, 0):g} for {'/'.join(key)}, {stored.get(key, 0):g} stored" for key in keys)
