"""The metrics of runs, to hold against what must be true of them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from app.workflows.definitions import WORKFLOWS
from tests.support.samples import samples


class RunMetrics:
    """The metrics of runs, over all studios of a test."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry

    def total(self, name: str, workflow_type: str) -> float:
        """Return the sum of the samples of a name for a workflow."""
        return sum(v for labels, v in samples(self.registry, name) if labels["workflow_type"] == workflow_type)

    def assert_balanced(self, active: int = 0) -> None:
        """Assert that the counts add up for every workflow, with so many active runs in all."""
        for kind in WORKFLOWS:
            started, ended = self.total("workflows_started_total", kind), self.total("workflows_total", kind)
            assert started - ended - self.total("active_workflows", kind) == 0, kind
        assert sum(self.total("active_workflows", kind) for kind in WORKFLOWS) == active
        agents = sum(v for _, v in samples(self.registry, "active_agent_executions"))
        assert agents == 0 or active
