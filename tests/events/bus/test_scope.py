"""An event emitted inside spans inherits their fields and adds to the totals of each of them."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from decimal import Decimal
from fractions import Fraction
from threading import Barrier, Thread, get_ident
from typing import Any, NamedTuple

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
from events.bus import scope
from events.bus.amount_limits import MAX_AMOUNT
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
def test_a_scope_ends_with_its_block_whatever_is_raised(raised: type[BaseException]) -> None:
    with pytest.raises(raised), agent_run.scope(agent_name="writer"):
        raise raised
    assert current_scope.get() is None


async def test_gathered_tasks_are_inside_the_span_and_separate_from_each_other() -> None:
    async def agent(name: str, tokens: int) -> None:
        with agent_run(agent_name=name):
            for _ in range(10):
                call(tokens)
                await asyncio.sleep(0)

    with (
        agent_finished.captured() as agents,
        workflow_finished.captured() as workflows,
        llm_called.captured() as calls,
        workflow_run(run_id="r1", workflow_type="campaign"),
    ):
        await asyncio.gather(*(agent(f"agent {number}", number) for number in range(1, 6)))
    assert {event.agent_name: event.prompt_tokens for event in agents} == {f"agent {n}": 10 * n for n in range(1, 6)}
    assert all(event.prompt_tokens == int(event.agent_name.removeprefix("agent ")) for event in calls)
    assert {event.run_id for event in calls} == {"r1"}
    assert [event.prompt_tokens for event in workflows] == [150]


async def test_the_tasks_of_a_group_and_threads_are_inside_the_span() -> None:
    with llm_called.captured() as calls, agent_run(agent_name="writer") as run:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(call, 1))
            group.create_task(asyncio.to_thread(call, 10))
        await asyncio.to_thread(call, 100)
    assert run.totals["prompt_tokens"] == 111
    assert {event.agent_name for event in calls} == {"writer"}


async def test_a_span_in_a_thread_is_inside_the_one_around_the_thread() -> None:
    def work() -> None:
        with agent_run(agent_name="in a thread"):
            call(5)

    with (
        agent_finished.captured() as agents,
        workflow_finished.captured() as workflows,
        workflow_run(run_id="r1", workflow_type="campaign"),
    ):
        await asyncio.to_thread(work)
    assert (agents[0].run_id, workflows[0].prompt_tokens) == ("r1", 5)


async def test_a_task_that_outlives_its_span_still_inherits_from_it() -> None:
    go_on = asyncio.Event()

    async def later() -> None:
        await go_on.wait()
        with agent_run(agent_name="writer"):
            pass
        call()

    with llm_called.captured() as calls, agent_started.captured() as starts:
        with workflow_run(run_id="r1", workflow_type="campaign"):
            task = asyncio.create_task(later())
        go_on.set()
        await task
    assert (starts[0].run_id, calls[0].run_id) == ("r1", "r1")


@contextmanager
def switching_often() -> Iterator[None]:
    """Let threads take turns between almost any two steps."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@pytest.mark.slow
def test_totals_are_exact_when_eight_threads_add_at_once() -> None:
    threads, rounds = 8, 1_000
    barrier = Barrier(threads)

    def add() -> None:
        barrier.wait()
        for _ in range(rounds):
            call(3, 2, cost=0.25)

    with (
        switching_often(),
        workflow_finished.captured() as workflows,
        workflow_run(run_id="r1", workflow_type="campaign"),
        agent_run(agent_name="writer") as run,
    ):
        running = [Thread(target=copy_context().run, args=(add,)) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    expected = {
        "llm_calls": threads * rounds,
        "prompt_tokens": 3 * threads * rounds,
        "completion_tokens": 2 * threads * rounds,
        "cost": 0.25 * threads * rounds,
    }
    assert run.totals == expected
    assert {name: getattr(workflows[0], name) for name in expected} == expected


def test_emitting_while_a_total_is_added_to_does_not_deadlock() -> None:
    """The garbage collector may end a span, which emits, in the thread that is adding."""

    def add() -> None:
        with agent_run(agent_name="writer"), scope._totals_lock:
            call()

    thread = Thread(target=add, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


def test_amounts_of_any_numeric_type_are_summed_and_impossible_ones_left_out() -> None:
    amounts: list[Any] = [Decimal("0.5"), Fraction(1, 4), 2, 0.25, 0, None, -1, -0.5, math.nan, math.inf, Decimal(-1)]
    with receiver_failed.captured(), agent_run(agent_name="writer") as run:
        for amount in amounts:
            call(cost=amount)
        assert run.totals["cost"] == 3.0
        assert run.totals["llm_calls"] == len(amounts)


def test_an_amount_below_the_limit_is_summed_and_one_at_it_is_not() -> None:
    with agent_run(agent_name="writer") as run:
        call(prompt=int(MAX_AMOUNT) - 1)
        call(prompt=int(MAX_AMOUNT))
        assert run.totals["prompt_tokens"] == int(MAX_AMOUNT) - 1


def test_a_scope_sums_what_it_or_one_around_it_does() -> None:
    with agent_run.scope(agent_name="writer"):
        inner = current_scope.get()
        assert inner is not None
        assert not inner.is_summing("llm_called")
    with agent_run(agent_name="writer"), agent_run.scope(agent_name="editor"):
        inner = current_scope.get()
        assert inner is not None
        assert inner.is_summing("llm_called")
        assert not inner.is_summing("agent_started")


@pytest.mark.parametrize(("kind", "nested"), [("", False), ("shift", True)])
def test_only_scopes_that_have_a_kind_are_nested_in_one_another(kind: str, nested: bool) -> None:
    """Those that have none have nothing in common."""
    sums = {"llm_called": (("calls", None),)}
    outer = Scope({}, None, sums, kind)
    inner = Scope({}, Scope({}, outer, {}, "other"), sums, kind)
    inner.add("llm_called", {})
    assert inner.totals == {"calls": 1}
    assert (outer.totals, outer.nested_totals) == (({}, {"calls": 1}) if nested else ({"calls": 1}, {}))
    assert (outer.outer_of_a_kind, inner.outer_of_a_kind) == ((), (outer,) if nested else ())
    outer.add("llm_called", {})
    assert outer.totals == {"calls": 1 if nested else 2}


def test_a_block_ends_its_scope_and_a_step_does_not_end_its_span() -> None:
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


async def test_a_scope_that_has_ended_holds_neither_the_generator_nor_the_task_that_entered_it() -> None:
    def work() -> Iterator[Scope | None]:
        with agent_run(agent_name="writer"):
            yield current_scope.get()

    steps: Any = work()
    scope = next(steps)
    assert scope is not None
    assert (scope.frame, scope.owner) == (steps.gi_frame, (get_ident(), asyncio.current_task()))
    assert list(steps) == []
    assert (scope.frame, scope.owner) == (None, None)


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
