"""An in-flight gauge shows how many spans are open."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from events import (
    agent_finished,
    agent_run,
    agent_started,
    workflow_finished,
    workflow_resumed,
    workflow_run,
)
from metrics import in_flight, subscribe
from tests.support.forks import in_child
from tests.support.samples import Read, samples

HELP = "A test's own."


class TestInFlight:
    ROW = in_flight("agents", HELP, agent_run, labels=("agent_name",))

    @pytest.fixture
    def agents(self, registry: CollectorRegistry) -> Iterator[dict[str, float]]:
        class Agents(dict[str, float]):
            def __missing__(self, name: str) -> float:
                value = registry.get_sample_value("sparklio_agents", {"agent_name": name})
                assert value is not None, f"no series for {name}"
                return value

        with subscribe([self.ROW], registry, namespace="sparklio", label_limits={"agent_name": 5}):
            yield Agents()

    def test_it_is_the_number_of_open_spans(self, agents: dict[str, float]) -> None:
        with agent_run(agent_name="a"), agent_run(agent_name="a"):
            assert agents["a"] == 2
        assert agents["a"] == 0

    def test_a_forked_process_counts_the_spans_that_it_opens(self, agents: dict[str, float]) -> None:
        """Those of the process before it are open there, and never end here."""

        def inside() -> tuple[float, float]:
            with agent_run(agent_name="a"):
                opened = agents["a"]
            return opened, agents["a"]

        with agent_run(agent_name="a"), agent_run(agent_name="a"):
            assert in_child(inside) == "(1.0, 0.0)"
            assert agents["a"] == 2

    def test_spans_past_a_label_limit_may_end_in_any_order(
        self, agents: dict[str, float], registry: CollectorRegistry
    ) -> None:
        names = [f"agent {number}" for number in range(60)]
        for name in names:
            agent_started.emit(execution_id=name, agent_name=name)
        assert sum(value for _, value in samples(registry, "agents")) == 60
        for name in reversed(names):
            agent_finished.emit(execution_id=name, agent_name=name, status="success", duration=1.0)
        assert {value for _, value in samples(registry, "agents")} == {0.0}

    def test_an_end_without_its_start_changes_nothing(self, agents: dict[str, float]) -> None:
        agent_finished.emit(execution_id="from before", agent_name="a", status="success", duration=1.0)
        assert agents["a"] == 0

    def test_a_start_emitted_twice_counts_once_and_a_second_end_changes_nothing(self, agents: dict[str, float]) -> None:
        for _ in range(2):
            agent_started.emit(execution_id="1", agent_name="a")
        assert agents["a"] == 1
        for _ in range(2):
            agent_finished.emit(execution_id="1", agent_name="a", status="success", duration=1.0)
        assert agents["a"] == 0

    def test_an_end_with_another_label_value_closes_the_span_that_was_opened(self, agents: dict[str, float]) -> None:
        agent_started.emit(execution_id="1", agent_name="a")
        agent_finished.emit(execution_id="1", agent_name="b", status="success", duration=1.0)
        assert agents["a"] == 0

    @pytest.mark.usefixtures("subscription")
    def test_a_resumed_workflow_is_active_and_ends_once(self, read: Read) -> None:
        workflow_resumed.emit(run_id="1", workflow_type="campaign")
        assert read("active_workflows", workflow_type="campaign") == 1
        workflow_finished.emit(run_id="1", workflow_type="campaign", status="completed", duration=1.0)
        assert read("active_workflows", workflow_type="campaign") == 0
        assert read("workflows_total", workflow_type="campaign", status="completed") == 1

    @pytest.mark.usefixtures("subscription")
    def test_a_workflow_span_is_active_while_it_runs(self, read: Read) -> None:
        with workflow_run(run_id="1", workflow_type="campaign"):
            assert read("active_workflows", workflow_type="campaign") == 1
        assert read("active_workflows", workflow_type="campaign") == 0
