"""What becomes of the callbacks of runs, without LangChain."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextvars import copy_context
from threading import Thread
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from events import agent_run, llm_called, receiver_failed, tool_called
from events.bridges.langchain import runs
from events.bridges.langchain.model_runs import ModelStart
from events.bridges.langchain.run_tracker import RunTracker, is_idle
from events.bridges.model_calls.claims import current_claim, observers
from events.bridges.model_calls.model_call import CallEnd, start_call
from events.bus.scope import current_scope, get_effective_scope
from tests.support.recorded_calls import Recorded, recorded_calls

ASKED = {"ls_model_name": "m", "ls_provider": "p"}
GRAPH = {"ls_integration": "langgraph"}


@pytest.fixture
def told() -> Iterator[Recorded]:
    """Record what is emitted."""
    with recorded_calls() as events:
        yield events
    current_scope.set(None)  # of runs that a test does not end


@pytest.fixture
def tracker() -> RunTracker:
    """Return a tracker."""
    return RunTracker(None, None)


def answer(prompt: int = 10, completion: int = 2) -> Any:
    """Return the answer of a model."""
    usage = {"input_tokens": prompt, "output_tokens": completion}
    message = SimpleNamespace(usage_metadata=usage, response_metadata={"finish_reason": "stop"})
    return SimpleNamespace(generations=[[SimpleNamespace(message=message)]])


def chain(tracker: RunTracker, parent: UUID | None = None, name: str = "", **more: Any) -> UUID:
    """Begin a run of a chain, and return its id."""
    run_id = uuid4()
    tracker.start_chain(run_id, parent, name, tags=more.get("tags"), metadata=more.get("metadata"))
    return run_id


def model(tracker: RunTracker, parent: UUID | None = None, batch_size: int = 1) -> UUID:
    """Begin a call to a model, and return its id."""
    run_id = uuid4()
    tracker.start_model(run_id, parent, ModelStart(metadata=ASKED, batch_size=batch_size))
    return run_id


def test_a_call_is_told_with_its_answer(tracker: RunTracker, told: Recorded) -> None:
    tracker.end(model(tracker), answer(), None)
    [call] = told.calls
    assert (call.model, call.provider, call.prompt_tokens, call.finish_reason) == ("m", "p", 10, "stop")
    assert current_claim.get() is None
    assert len(tracker.runs) == 0


def test_an_exact_bridge_takes_a_call_over(tracker: RunTracker, told: Recorded) -> None:
    run_id = model(tracker)
    exact = start_call("exact", model="m", provider="p", is_exact=True)
    assert exact is not None
    exact.finish(CallEnd(response_model="exact"))
    tracker.end(run_id, answer(), None)
    assert [call.response_model for call in told.calls] == ["exact"]
    assert told.is_paired()


def test_each_call_of_a_batch_is_taken_over(tracker: RunTracker, told: Recorded) -> None:
    ids = [model(tracker, batch_size=2) for _ in range(2)]
    for _ in ids:
        exact = start_call("exact", model="m", provider="p", is_exact=True)
        assert exact is not None
        exact.finish(CallEnd(response_model="exact"))
    for run_id in ids:
        tracker.end(run_id, answer(), None)
    assert [call.response_model for call in told.calls] == ["exact", "exact"]
    assert told.is_paired()


def test_each_call_of_a_batch_that_nobody_takes_over_is_told(tracker: RunTracker, told: Recorded) -> None:
    for _ in range(2):
        for run_id in [model(tracker, batch_size=2) for _ in range(2)]:
            tracker.end(run_id, answer(), None)
    assert told.sums() == (4, 40, 8)


def test_after_the_first_chunk_the_reader_is_outside_of_the_call(tracker: RunTracker, told: Recorded) -> None:
    first = model(tracker)
    tracker.add_event(first, {"event": "content-block-delta", "delta": {"text": "a"}})
    tracker.add_chunk(first, "a", None)
    tracker.add_event(first, {"event": "content-block-delta", "delta": {"text": "a"}})
    second = model(tracker)
    tracker.end(second, answer(), None)
    tracker.end(first, answer(), None)
    assert [call.streamed for call in told.calls] == [False, True]
    assert told.calls[1].time_to_first_token is not None


def test_a_graph_with_a_name_is_an_agent_of_all_inside(tracker: RunTracker, told: Recorded) -> None:
    graph = chain(tracker, name="team", metadata=GRAPH)
    node = chain(tracker, graph, "write", tags=["graph:step:1"], metadata=GRAPH)
    tracker.end(model(tracker, node), answer(), None)
    tracker.end(node, None, None)
    tracker.end(graph, None, None)
    [finished] = told.agents
    assert (finished.agent_name, finished.prompt_tokens, finished.status) == ("team", 10, "success")
    assert told.calls[0].agent_name == "team"
    assert current_scope.get() is None


def test_an_inner_graph_is_an_agent_from_its_first_node_on(tracker: RunTracker, told: Recorded) -> None:
    outer = chain(tracker, name="outer", metadata=GRAPH)
    node = chain(tracker, outer, "step", tags=["graph:step:1"], metadata=GRAPH)
    inner = chain(tracker, node, "inner", tags=["seq:step:1"], metadata=GRAPH)
    assert [run.agent_name for run in told.agents_started] == ["outer"]
    step = chain(tracker, inner, "inner_step", tags=["graph:step:1"], metadata=GRAPH)
    tracker.end(model(tracker, step), answer(), None)
    for run_id in (step, inner, node, outer):
        tracker.end(run_id, None, None)
    assert [(run.agent_name, run.own_prompt_tokens) for run in told.agents] == [("inner", 10), ("outer", 0)]
    assert current_scope.get() is None


def test_an_agent_of_the_same_name_is_another_one_where_a_tool_asks_it(tracker: RunTracker, told: Recorded) -> None:
    named = {"lc_agent_name": "a"}
    outer = chain(tracker, name="a", metadata=named)
    same = chain(tracker, outer, "a", metadata=named)
    tool = uuid4()
    tracker.start_tool(tool, same, "ask", named)
    other = chain(tracker, tool, "a", metadata=named)
    for run_id in (other,):
        tracker.end(run_id, None, None)
    tracker.end(tool, "", None)
    tracker.end(same, None, None)
    tracker.end(outer, None, None)
    assert [run.agent_name for run in told.agents] == ["a", "a"]


def test_a_thread_without_the_context_is_inside_by_its_parent(tracker: RunTracker, told: Recorded) -> None:
    outer = chain(tracker, name="outer", metadata=GRAPH)

    def work() -> None:
        node = chain(tracker, outer, "node", tags=["graph:step:1"])
        tool_called.emit(tool_name="mine", status="success", duration=0.0)
        tracker.end(model(tracker, node), answer(), None)
        tracker.end(node, None, None)
        assert get_effective_scope() is None

    thread = Thread(target=work)
    thread.start()
    thread.join()
    tracker.end(outer, None, None)
    assert told.tools[0].agent_name == told.calls[0].agent_name == "outer"


def test_a_call_is_of_what_its_code_began_inside_of_the_graph_else_of_the_graph(
    tracker: RunTracker, told: Recorded
) -> None:
    graph = chain(tracker, name="team", metadata=GRAPH)
    node = chain(tracker, graph, "write", tags=["graph:step:1"], metadata=GRAPH)
    with agent_run(agent_name="helper"):
        tracker.end(model(tracker, node), answer(), None)
    thread = Thread(target=lambda: tracker.end(model(tracker, node), answer(), None))  # without the context
    thread.start()
    thread.join()
    tracker.end(node, None, None)
    tracker.end(graph, None, None)
    assert [call.agent_name for call in told.calls] == ["helper", "team"]


@pytest.mark.parametrize(
    ("output", "error", "ended"),
    [
        ("x", None, ("success", "")),
        (SimpleNamespace(status="error"), None, ("error", "")),
        (None, ValueError("secret"), ("error", "ValueError")),
        (None, TimeoutError(), ("timeout", "TimeoutError")),
        (None, KeyboardInterrupt(), ("cancelled", "KeyboardInterrupt")),
    ],
)
def test_a_tool_ends_as_its_run(
    output: Any, error: BaseException | None, ended: tuple[str, str], tracker: RunTracker, told: Recorded
) -> None:
    run_id = uuid4()
    tracker.start_tool(run_id, None, "search", {"mcp": {"server": {"name": "docs"}}})
    tracker.end(run_id, output, error)
    [tool] = told.tools
    assert (tool.tool_name, tool.status, tool.error, tool.mcp_server) == ("search", *ended, "docs")


class GraphInterrupt(Exception):
    """Stands for LangGraph's."""


class ParentCommand(Exception):
    """Stands for LangGraph's."""


def test_a_tool_that_waits_for_a_person_has_not_ended(tracker: RunTracker, told: Recorded) -> None:
    agent = chain(tracker, name="a", metadata={"lc_agent_name": "a"})
    run_id = uuid4()
    tracker.start_tool(run_id, agent, "ask", None)
    tracker.end(run_id, None, GraphInterrupt())
    tracker.end(agent, None, GraphInterrupt())
    assert told.tools == []
    assert [run.status for run in told.agents] == ["success"]


def test_a_tool_that_hands_over_has_done_its_work(tracker: RunTracker, told: Recorded) -> None:
    run_id = uuid4()
    tracker.start_tool(run_id, None, "hand_over", None)
    tracker.end(run_id, None, ParentCommand())
    assert [(tool.status, tool.error) for tool in told.tools] == [("success", "")]


def test_a_run_that_nobody_holds_any_more_was_cancelled(tracker: RunTracker, told: Recorded) -> None:
    agent = chain(tracker, name="a", metadata={"lc_agent_name": "a"})
    tool = uuid4()
    tracker.start_tool(tool, agent, "t", None)
    model(tracker, tool)
    assert [call.status for call in told.calls] == ["cancelled"]
    del tool
    assert [use.status for use in told.tools] == ["cancelled"]
    del agent
    assert [(run.status, run.llm_calls, run.tool_calls) for run in told.agents] == [("cancelled", 1, 1)]
    assert len(tracker.runs) == 0


def test_what_is_inside_a_run_that_is_left_by_an_error_is_over(tracker: RunTracker, told: Recorded) -> None:
    async def run() -> None:
        agent = chain(tracker, name="a", metadata={"lc_agent_name": "a"})
        call = model(tracker, agent)
        tracker.end(agent, None, asyncio.CancelledError())
        assert [call.status for call in told.calls] == ["cancelled"]
        assert [(run.status, run.llm_calls) for run in told.agents] == [("cancelled", 1)]
        tracker.end(call, answer(), None)

    asyncio.run(run())
    assert len(told.calls) == 1


def test_what_runs_on_after_a_failure_has_its_own_end(tracker: RunTracker, told: Recorded) -> None:
    async def run() -> None:
        parent = chain(tracker)

        async def ask() -> None:
            call = model(tracker, parent)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            tracker.end(call, answer(), None)

        task = asyncio.create_task(ask())
        await asyncio.sleep(0)
        tracker.end(parent, None, ValueError())
        await task

    asyncio.run(run())
    assert [call.status for call in told.calls] == ["success"]


def test_runs_that_never_end_are_bounded(tracker: RunTracker, told: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MAX_RUNS", 3)
    ids = [chain(tracker, name=name, metadata={"lc_agent_name": name}) for name in "abcde"]
    assert len(tracker.runs) == 3
    assert [run.status for run in told.agents] == ["cancelled"] * 2
    for run_id in ids:
        tracker.end(run_id, None, None)
    assert told.is_paired()


@pytest.mark.lenient
def test_where_nobody_listens_nothing_is_kept(tracker: RunTracker) -> None:
    assert is_idle()
    kept = [chain(tracker), model(tracker)]
    retriever, tool = uuid4(), uuid4()
    tracker.start_retriever(retriever, None, "r", None)
    tracker.start_tool(tool, None, "t", None)
    assert len(tracker.runs) == 0
    for run_id in (*kept, retriever, tool):
        tracker.end(run_id, None, None)
        tracker.add_chunk(run_id, "", None)
        tracker.add_event(run_id, None)


def test_a_retriever_passes_the_agent_on(tracker: RunTracker, told: Recorded) -> None:
    agent = chain(tracker, name="a", metadata={"lc_agent_name": "a"})
    retriever = uuid4()
    tracker.start_retriever(retriever, agent, "r", None)
    tracker.end(model(tracker, retriever), answer(), None)
    tracker.end(retriever, None, None)
    tracker.end(agent, None, None)
    assert [call.agent_name for call in told.calls] == ["a"]


@pytest.mark.lenient
def test_an_answer_that_cannot_be_read_ends_the_call_all_the_same(tracker: RunTracker) -> None:
    class Odd:
        @property
        def generations(self) -> Any:
            raise RuntimeError

    with llm_called.captured() as calls, receiver_failed.captured() as failures:
        tracker.end(model(tracker), Odd(), None)
    assert [call.status for call in calls] == ["success"]
    assert [failure.receiver for failure in failures] == ["langchain"]


def test_an_agent_of_the_program_is_around_and_may_have_the_name(tracker: RunTracker, told: Recorded) -> None:
    with agent_run(agent_name="a"):
        same = chain(tracker, name="a", metadata={"lc_agent_name": "a"})
        tracker.end(same, None, None)
        other = chain(tracker, name="b", metadata={"lc_agent_name": "b"})
        tracker.end(model(tracker, other), answer(), None)
        tracker.end(other, None, None)
    assert [(run.agent_name, run.prompt_tokens) for run in told.agents] == [("b", 10), ("a", 10)]
    gc.collect()


def test_a_call_whose_context_does_not_say_so_is_taken_over(tracker: RunTracker, told: Recorded) -> None:
    observers.add(tracker)
    ids = [uuid4() for _ in range(2)]
    for run_id in ids:
        start = ModelStart(metadata=ASKED, is_detached=True)
        copy_context().run(tracker.start_model, run_id, None, start)
    for _ in ids:
        exact = start_call("exact", model="m", provider="p", is_exact=True)
        assert exact is not None
        exact.finish(CallEnd(response_model="exact"))
    other = start_call("exact", model="m", provider="p", is_exact=True)
    assert other is not None
    other.finish(CallEnd(response_model="other"))
    for run_id in ids:
        tracker.end(run_id, answer(), None)
    observers.discard(tracker)
    assert [call.response_model for call in told.calls] == ["exact", "exact", "other"]
    assert told.is_paired()


@pytest.mark.parametrize("is_detached", [False, True])
def test_texts_that_are_completed_together_are_one_call(is_detached: bool, tracker: RunTracker, told: Recorded) -> None:
    params: dict[str, Any] = {}
    start = ModelStart(
        metadata=ASKED, params=params, operation="text_completion", batch_size=3, is_detached=is_detached
    )
    for _ in range(2):
        ids = [uuid4() for _ in range(3)]
        for run_id in ids:
            tracker.start_model(run_id, None, start)
        for run_id in ids:
            tracker.end(run_id, answer(), None)
    assert told.sums() == (2, 20, 4)
    assert told.is_paired()
