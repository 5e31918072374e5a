"""The phases of an agent's execution add up to its duration, whoever emits the events inside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from events import AgentFinished, agent_finished, agent_run, llm_attempted, llm_called, tool_called
from metrics import AGENTS, subscribe


@dataclass
class Clock:
    """A clock that a test sets."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Have spans and phases read a clock that the test sets."""
    clock = Clock()
    monkeypatch.setattr("events.bus.span.perf_counter", clock)
    monkeypatch.setattr("events.agent_phases.perf_counter", clock)
    return clock


@pytest.fixture
def finished() -> Iterator[list[AgentFinished]]:
    """Record the ends of agents."""
    with agent_finished.captured() as events:
        yield events


def phases(event: AgentFinished) -> tuple[Any, ...]:
    """Return the times of models, tools, waiting and the agent itself."""
    return event.llm_time, event.tool_time, event.backoff_time, event.self_time


def attempt(duration: Any, call_id: str = "c") -> None:
    """Emit that an attempt ended just now."""
    llm_attempted.emit(call_id=call_id, model="m", outcome="success", duration=duration)


def call(duration: Any, call_id: str = "c", backoff: Any = None) -> None:
    """Emit that a call ended just now."""
    llm_called.emit(call_id=call_id, model="m", status="success", duration=duration, backoff=backoff)


def tool(duration: Any) -> None:
    """Emit that the use of a tool ended just now."""
    tool_called.emit(tool_name="t", status="success", duration=duration)


def test_every_moment_belongs_to_models_tools_waiting_or_the_agent(clock: Clock, finished: list[AgentFinished]) -> None:
    with agent_run(agent_name="a"):
        clock.now += 3  # the agent's own
        clock.now += 2
        attempt(2.0)
        clock.now += 1.5  # waits before a retry
        clock.now += 4
        attempt(4.0)
        call(7.5)
        clock.now += 1
        tool(1.0)
        clock.now += 0.5  # its own again
    assert phases(finished[0]) == (6.0, 1.0, 1.5, 3.5)
    assert finished[0].duration == 12.0


def test_what_is_between_a_queue_and_an_attempt_is_the_agents_own(clock: Clock, finished: list[AgentFinished]) -> None:
    """Where nothing was retried there is no backoff."""
    with agent_run(agent_name="a"):
        clock.now += 3
        llm_attempted.emit(call_id="c", model="m", outcome="success", duration=2.0, queue_wait=0.5)
        llm_called.emit(call_id="c", model="m", status="success", duration=2.25, queue_wait=0.5, backoff=0.0)
    assert phases(finished[0]) == (2.0, 0.0, 0.0, 1.0)


def test_what_runs_side_by_side_counts_once_and_a_model_comes_before_a_tool(
    clock: Clock, finished: list[AgentFinished]
) -> None:
    with agent_run(agent_name="a"):
        clock.now += 10
        tool(9.0)
        tool(8.0)
        attempt(4.0, "one")
        call(4.0, "one")
        attempt(2.0, "two")
        call(3.0, "two")
    assert phases(finished[0]) == (4.0, 5.0, 0.0, 1.0)


def test_a_call_without_attempts_is_the_models_but_for_its_backoff(clock: Clock, finished: list[AgentFinished]) -> None:
    with agent_run(agent_name="a"):
        clock.now += 10
        call(6.0, "", backoff=2.0)
    assert phases(finished[0]) == (4.0, 0.0, 2.0, 4.0)


def test_a_call_that_did_not_wait_is_the_models_whole(clock: Clock, finished: list[AgentFinished]) -> None:
    """What its bridge does between attempt and call is no waiting."""
    with agent_run(agent_name="a"):
        clock.now += 2
        attempt(2.0)
        clock.now += 0.1
        llm_called.emit(model="m", call_id="one", status="success", duration=2.1, backoff=0.0)
    assert phases(finished[0]) == (pytest.approx(2.1), 0.0, pytest.approx(0.0), pytest.approx(0.0))


def test_each_call_is_judged_by_its_own_attempts(clock: Clock, finished: list[AgentFinished]) -> None:
    with agent_run(agent_name="a"):
        clock.now += 10
        attempt(2.0, "one")
        call(10.0, "one")  # waits for eight seconds
        clock.now += 10
        call(10.0, "two")  # nobody told its attempts
        clock.now += 10
        call(10.0, "one")  # an id that came again
    assert phases(finished[0]) == (22.0, 0.0, 8.0, 0.0)


def test_an_agent_waits_for_those_that_it_asks(clock: Clock, finished: list[AgentFinished]) -> None:
    with agent_run(agent_name="outer"):
        clock.now += 1
        with agent_run(agent_name="inner"):
            clock.now += 2
            attempt(2.0)
            call(2.0)
            clock.now += 3
            tool(3.0)
        tool(5.0)  # by which it asked
    inner, outer = finished
    assert phases(inner) == (2.0, 3.0, 0.0, 0.0)
    assert phases(outer) == (2.0, 3.0, 0.0, 1.0)


def test_what_began_before_the_agent_is_cut_off(clock: Clock, finished: list[AgentFinished]) -> None:
    with agent_run(agent_name="a"):
        clock.now += 2
        attempt(1000.0)
        call(1000.0)
    assert phases(finished[0]) == (2.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("duration", [-1.0, float("nan"), float("inf"), 1e12, "1 s", None, object()])
def test_a_duration_that_is_no_sensible_number_counts_for_nothing(
    duration: Any, clock: Clock, finished: list[AgentFinished]
) -> None:
    with agent_run(agent_name="a"):
        clock.now += 5
        attempt(duration)
        tool(duration)
        call(duration, "other", backoff=duration)
        tool(Decimal(1))
    assert phases(finished[0]) == (0.0, 1.0, 0.0, 4.0)


def test_a_noted_time_wins(clock: Clock, finished: list[AgentFinished]) -> None:
    with agent_run(agent_name="a") as run:
        clock.now += 5
        tool(2.0)
        run.note(llm_time=4.5)
    assert phases(finished[0]) == (4.5, 2.0, 0.0, 3.0)


def test_calls_whose_end_is_never_told_are_not_remembered_for_ever(clock: Clock) -> None:
    with agent_run(agent_name="a") as run:
        for number in range(5000):
            clock.now += 1
            attempt(0.5, str(number))
        assert run._scope is not None
        aggregator: Any = run._scope.aggregator
        assert len(aggregator._attempted_calls) == 1024


def test_an_agent_that_ended_elsewhere_has_no_phases(finished: list[AgentFinished]) -> None:
    agent_finished.emit(agent_name="a", status="success", duration=1.0)
    assert phases(finished[0]) == (None, None, None, None)


events_inside = st.lists(
    st.tuples(
        st.sampled_from([attempt, call, tool]), st.floats(0, 20), st.sampled_from(["", "x", "y"]), st.floats(0, 5)
    ),
    max_size=30,
)


@pytest.mark.slow
@given(events_inside)
def test_the_phases_of_any_events_add_up_to_the_duration(inside: list[tuple[Any, float, str, float]]) -> None:
    clock, registry = Clock(), CollectorRegistry()
    with pytest.MonkeyPatch.context() as patch, subscribe(AGENTS, registry, namespace="x"):
        patch.setattr("events.bus.span.perf_counter", clock)
        patch.setattr("events.agent_phases.perf_counter", clock)
        with agent_finished.captured() as finished, agent_run(agent_name="a"):
            for emit, duration, call_id, later in inside:
                clock.now += later
                emit(duration, call_id) if emit is not tool else emit(duration)
        counted = [
            registry.get_sample_value("x_agent_time_seconds_total", {"agent_name": "a", "phase": phase})
            for phase in ("llm", "tool", "backoff", "self")
        ]
    [end] = finished
    assert all(seconds >= 0 for seconds in phases(end))
    assert sum(phases(end)) == pytest.approx(end.duration, abs=1e-9)
    assert counted == [*phases(end)]


def test_the_clock_of_events_is_that_of_spans() -> None:
    """Without a clock of the test's own, times are what passed."""
    with agent_finished.captured() as finished:
        for _ in range(20):
            with agent_run(agent_name="a"):
                tool(0.0)
    for end in finished:
        assert end.self_time == pytest.approx(end.duration, abs=1e-6)
    assert all(one.execution_id != other.execution_id for one, other in pairwise(finished))
