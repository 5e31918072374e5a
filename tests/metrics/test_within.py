"""A label whose values belong to another label's: its bound counts pairs."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from events import label_overflowed, workflow_step_finished
from metrics import Metric, counter, subscribe
from metrics.instruments import OTHER
from tests.support.reading import samples

HELP = "A test's own."


def row(**more: object) -> Metric:
    return counter("steps_total", HELP, workflow_step_finished, by=("workflow_type", "step"), **more)


STEPS = row(within={"step": "workflow_type"})


def tell(workflow_type: str, step: str) -> None:
    workflow_step_finished.emit(workflow_type=workflow_type, step=step, agent_name="a", status="success", duration=1.0)


def test_each_workflow_has_steps_of_its_own_until_the_pairs_are_used_up() -> None:
    registry = CollectorRegistry()
    with (
        subscribe([STEPS], registry, bounds={"workflow_type": 2, "step": 3}),
        label_overflowed.captured() as overflows,
    ):
        for kind, step in [("a", "1"), ("b", "1"), ("a", "2"), ("b", "2"), ("a", "1"), ("c", "1"), ("c", "unknown")]:
            tell(kind, step)
        counted = {(labels["workflow_type"], labels["step"]): v for labels, v in samples(registry, "steps_total")}
    assert counted == {
        ("a", "1"): 2,
        ("b", "1"): 1,
        ("a", "2"): 1,
        ("b", OTHER): 1,
        (OTHER, OTHER): 1,
        (OTHER, "unknown"): 1,
    }
    assert [event.label for event in overflows] == ["step", "workflow_type", "step", "workflow_type"]


def test_the_most_series_are_the_pairs_and_what_each_outer_value_may_fold_into() -> None:
    bounds = {"workflow_type": 12, "step": 24}
    assert row().most_series(bounds) == 14 * 26
    assert STEPS.most_series(bounds) == 24 + 2 * 14


@pytest.mark.parametrize("within", [{"workflow_type": "step"}, {"step": "agent_name"}, {"step": "step"}])
def test_a_pair_that_makes_no_sense_is_refused(within: dict[str, str]) -> None:
    with pytest.raises(TypeError, match="can't be within"):
        row(within=within)
