"""An event emitted inside spans inherits their fields and adds to the totals of each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import (
    agent_finished,
    agent_run,
    agent_started,
    context_built,
    llm_called,
    query_executed,
    receiver_failed,
    tool_called,
    workflow_finished,
    workflow_run,
)
from events.bus.scope import Scope, current_scope


@pytest.fixture(autouse=True)
def no_scope_is_left() -> Iterator[None]:
    yield
    assert current_scope.get() is None


def call(prompt: int | None = 1, completion: int | None = 1, cost: float | None = 0.5) -> None:
    llm_called.emit(
        model="m", status="success", duration=0.1, prompt_tokens=prompt, completion_tokens=completion, cost=cost
    )


def test_an_event_inherits_from_every_span_around_it() -> None:
    with llm_called.captured() as calls, query_executed.captured() as queries, context_built.captured() as contexts:
        with workflow_run(run_id="r1", workflow_type="campaign"), agent_run(agent_name="writer"):
            call()
            query_executed.emit(operation="select", table="brands", duration=0.1)
            context_built.emit(size=100)
        call()
    assert [(event.agent_name, event.workflow_type, event.run_id) for event in calls] == [
        ("writer", "campaign", "r1"),
        ("unknown", "unknown", ""),
    ]
    assert (queries[0].agent_name, queries[0].run_id) == ("writer", "r1")
    assert (contexts[0].agent_name, contexts[0].workflow_type, contexts[0].run_id) == ("writer", "campaign", "r1")


def test_a_nested_span_inherits_at_its_start_and_its_end() -> None:
    with (
        agent_started.captured() as started,
        agent_finished.captured() as finished,
        workflow_run(run_id="r1", workflow_type="campaign"),
        agent_run(agent_name="writer"),
    ):
        pass
    assert (started[0].workflow_type, started[0].run_id) == ("campaign", "r1")
    assert (finished[0].workflow_type, finished[0].run_id) == ("campaign", "r1")


def test_the_innermost_span_wins_and_an_emitted_field_wins_over_it() -> None:
    with llm_called.captured() as calls, agent_run(agent_name="outer"), agent_run(agent_name="inner"):
        call()
        llm_called.emit(model="m", status="success", duration=0.1, agent_name="said", run_id="")
    assert [event.agent_name for event in calls] == ["inner", "said"]


def test_only_declared_fields_are_inherited() -> None:
    with (
        agent_started.captured() as started,
        agent_run(agent_name="outer", task="slogan", execution_id="one"),
        agent_run(agent_name="inner"),
    ):
        pass
    assert started[1].task == ""
    assert started[1].execution_id != "one"


def test_an_event_adds_to_the_totals_of_every_span_around_it_and_of_no_other() -> None:
    with (
        agent_finished.captured() as agents,
        workflow_finished.captured() as workflows,
        workflow_run(run_id="r1", workflow_type="campaign"),
    ):
        with agent_run(agent_name="first"):
            call(10, 5)
            tool_called.emit(tool_name="facts", status="success", duration=0.1)
        with agent_run(agent_name="second"):
            call(1, 2)
        call(100, 100)
    assert [(event.llm_calls, event.tool_calls, event.prompt_tokens, event.completion_tokens) for event in agents] == [
        (1, 1, 10, 5),
        (1, 0, 1, 2),
    ]
    assert [(event.llm_calls, event.prompt_tokens, event.completion_tokens, event.cost) for event in workflows] == [
        (3, 111, 107, 1.5)
    ]


def test_totals_grow_though_the_events_have_no_receivers() -> None:
    with agent_run(agent_name="writer") as run:
        call(3, 4)
        with llm_called.muted():
            call(3, 4)
        assert run.totals == {"llm_calls": 2, "prompt_tokens": 6, "completion_tokens": 8, "cost": 1.0}


@pytest.mark.parametrize("amount", [None, float("nan"), float("inf"), -1, -0.5, 10**400, "12"])
def test_an_amount_that_is_not_a_sensible_number_is_left_out_of_a_total(amount: float | None) -> None:
    """One NaN would make the whole sum NaN."""
    with agent_run(agent_name="writer") as run:
        call(7, 7, cost=0.25)
        call(7, 7, cost=amount)
        call(7, 7, cost=0.25)
    assert run.totals["cost"] == 0.5
    assert run.totals["llm_calls"] == 3


def test_the_totals_of_a_span_can_be_read_before_its_end() -> None:
    with agent_run(agent_name="writer") as run:
        before = run.totals
        call(7)
        assert before == {}
        assert run.totals["prompt_tokens"] == 7


def test_a_scope_passes_fields_on_and_emits_nothing() -> None:
    with (
        agent_started.captured() as starts,
        llm_called.captured() as calls,
        workflow_run.scope(run_id="r1", workflow_type="campaign"),
        agent_run.scope(agent_name="writer"),
    ):
        call()
    assert not starts
    assert (calls[0].agent_name, calls[0].workflow_type, calls[0].run_id) == ("writer", "campaign", "r1")


def test_a_scope_leaves_the_totals_to_the_spans_around_it() -> None:
    with agent_run(agent_name="writer") as run, workflow_run.scope(run_id="r1", workflow_type="campaign"):
        call(3)
    assert run.totals["prompt_tokens"] == 3


@pytest.mark.lenient
def test_a_misspelt_field_of_a_scope_is_reported_not_raised() -> None:
    with receiver_failed.captured() as failures, workflow_run.scope(run="r1"), llm_called.captured() as calls:
        call()
    assert [(failure.signal, failure.receiver) for failure in failures] == [("workflow_started", "scope")]
    assert calls[0].run_id == ""


@pytest.mark.parametrize("raised", [ValueError, GeneratorExit, asyncio.CancelledError])
def test_a_scope_ends_with_its_block_and_a_span_not_with_a_step() -> None:
    def has_ended(scope: Scope | None) -> bool:
        return scope is not None and scope.ended

    with agent_run.scope(agent_name="writer"):
        block = current_scope.get()
        assert not has_ended(block)
    assert has_ended(block)
    run = agent_run(agent_name="writer")
    run.start()
    with run.step():
        step = current_scope.get()
    assert not has_ended(step)
    run.end(None)
    assert has_ended(step)


def test_a_scope_that_ends_while_an_inner_one_is_current_ends_that_too() -> None:
    """As where generators finish in another order than they began: no ended scope comes back."""
    outer, inner = agent_run(agent_name="outer"), agent_run(agent_name="inner")
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert current_scope.get() is None
    inner.__exit__(None, None, None)
    assert current_scope.get() is None
    with agent_run(agent_name="around") as around:
        copy_context().run(around.__exit__, None, None, None)  # in a context of its own
        assert current_scope.get() is not None


class Agent(NamedTuple):
    """An agent run to be made: the tokens of its own calls, and the runs inside it."""

    tokens: list[int | None]
    parts: list[Agent]
    threaded: bool

    def total(self) -> int:
        return sum(filter(None, self.tokens)) + sum(part.total() for part in self.parts)

    def calls(self) -> int:
        return len(self.tokens) + sum(part.calls() for part in self.parts)


amounts = st.lists(st.none() | st.integers(0, 10**9), max_size=4)
trees = st.recursive(
    st.builds(Agent, amounts, st.just([]), st.booleans()),
    lambda parts: st.builds(Agent, amounts, st.lists(parts, max_size=3), st.booleans()),
    max_leaves=12,
)


@pytest.mark.slow
@given(trees)
def test_each_span_of_any_tree_sums_the_events_below_it(tree: Agent) -> None:
    expected: dict[str, Agent] = {}

    def perform(agent: Agent, pool: ThreadPoolExecutor) -> None:
        name = str(len(expected))
        expected[name] = agent
        with agent_run(agent_name=name):
            for tokens in agent.tokens:
                call(tokens)
            for part in agent.parts:
                if part.threaded:  # started in a thread of the pool, inside this run all the same
                    pool.submit(copy_context().run, perform, part, pool).result()
                else:
                    perform(part, pool)

    with agent_finished.captured() as finished, ThreadPoolExecutor(32) as pool:
        perform(tree, pool)
    assert len(finished) == len(expected)
    for event in finished:
        assert event.prompt_tokens == expected[event.agent_name].total()
        assert event.llm_calls == expected[event.agent_name].calls()
    assert current_scope.get() is None
