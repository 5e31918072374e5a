"""A scope goes where work goes, and stays where it does not: threads, executors, generators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from threading import Thread

import pytest

from events import LLMCalled, agent_finished, agent_run, current_span, llm_call, llm_called, propagate_scope
from events.bus.scope import current_scope


@pytest.fixture(autouse=True)
def no_scope_is_left() -> Iterator[None]:
    yield
    assert current_scope.get() is None


@pytest.fixture
def calls() -> Iterator[list[LLMCalled]]:
    with llm_called.captured() as captured:
        yield captured


def call(prompt_tokens: int = 10) -> None:
    llm_called.emit(model="m", status="success", duration=0.1, prompt_tokens=prompt_tokens)


def in_a_thread(function: Callable[[], None]) -> None:
    thread = Thread(target=propagate_scope(function))
    thread.start()
    thread.join()


def submitted(function: Callable[[], None]) -> None:
    with ThreadPoolExecutor() as pool:
        pool.submit(propagate_scope(function)).result()


def mapped(function: Callable[[], None]) -> None:
    with ThreadPoolExecutor(8) as pool:
        carried = propagate_scope(lambda _: function())
        list(pool.map(carried, [1]))


def in_the_loops_executor(function: Callable[[], None]) -> None:
    async def main() -> None:
        await asyncio.get_running_loop().run_in_executor(None, propagate_scope(function))

    asyncio.run(main())


def to_a_thread(function: Callable[[], None]) -> None:
    asyncio.run(asyncio.to_thread(function))


def in_another_loop(function: Callable[[], None]) -> None:
    async def main() -> None:
        await asyncio.sleep(0)
        function()

    carried = propagate_scope(main)
    thread = Thread(target=lambda: asyncio.run(carried()))
    thread.start()
    thread.join()


@pytest.mark.parametrize("run", [in_a_thread, submitted, mapped, in_the_loops_executor, to_a_thread, in_another_loop])
def test_a_scope_reaches_other_threads(run: Callable[..., None], calls: list[LLMCalled]) -> None:
    with agent_finished.captured() as ended:
        with agent_run(agent_name="writer"):
            run(call)
        run(call)
    assert [event.agent_name for event in calls] == ["writer", "unknown"]
    assert [event.prompt_tokens for event in ended] == [10]


def test_many_threads_share_one_scope() -> None:
    with agent_finished.captured() as ended, ThreadPoolExecutor(8) as pool, agent_run(agent_name="writer"):
        list(pool.map(propagate_scope(call), range(200)))
    assert (ended[0].llm_calls, ended[0].prompt_tokens) == (200, sum(range(200)))


async def test_an_async_generator_lends_no_scope_to_its_consumer(calls: list[LLMCalled]) -> None:
    async def answer() -> AsyncIterator[str]:
        with agent_run(agent_name="writer"):
            call()
            yield "a"
            await asyncio.gather(*(asyncio.create_task(call_soon()) for _ in range(2)))
            yield "b"

    async def call_soon() -> None:
        await asyncio.sleep(0)
        call()

    with agent_finished.captured() as ended, agent_run(agent_name="reader"):
        async for _ in answer():
            call()
            with agent_run(agent_name="editor"):
                call()
    assert [event.agent_name for event in calls] == [
        "writer", "reader", "editor", "writer", "writer", "reader", "editor",
    ]  # fmt: skip
    assert {event.agent_name: event.own_prompt_tokens for event in ended} == {"writer": 30, "editor": 10, "reader": 20}


@pytest.mark.parametrize("scope_only", [False, True])
def test_a_generator_lends_no_scope_to_its_consumer(scope_only: bool, calls: list[LLMCalled]) -> None:
    def answer() -> Iterator[str]:
        with agent_run.scope(agent_name="writer") if scope_only else agent_run(agent_name="writer"):
            yield from inner()

    def inner() -> Iterator[str]:
        with agent_run(agent_name="inner"):
            for letter in "ab":
                call()
                yield letter
        call()

    emit = llm_called.bind(model="m", status="success", duration=0.1)
    for _ in answer():
        emit(())
        llm_called.send(LLMCalled(model="m", status="success", duration=0.1))
        assert current_span() is None
    assert [event.agent_name for event in calls] == ["inner", "unknown", "unknown"] * 2 + ["writer"]


async def test_a_context_manager_written_as_a_generator_is_in_effect(calls: list[LLMCalled]) -> None:
    @contextmanager
    def working() -> Iterator[None]:
        with agent_run(agent_name="writer"):
            yield

    @asynccontextmanager
    async def working_too() -> AsyncIterator[None]:
        with working():
            yield

    async def answer() -> AsyncIterator[str]:
        async with working_too():
            call()
            yield "a"

    with working():
        call()
    async with working_too():
        call()
    async for _ in answer():
        call()
    assert [event.agent_name for event in calls] == ["writer", "writer", "writer", "unknown"]


def test_the_running_span_is_at_hand() -> None:
    @agent_run.wrap(agent_name="writer")
    def write() -> None:
        with llm_call(model="m"):
            innermost, agent = current_span(), current_span(agent_run)
            assert innermost is not None
            assert agent is not None
            assert innermost.kind is llm_call
            agent.note(task="slogan")
        with agent_run.scope(agent_name="other"):
            assert current_span() is agent

    with agent_finished.captured() as ended:
        write()
    assert current_span() is None
    assert ended[0].task == "slogan"


def test_a_sent_event_inherits_what_it_does_not_set(calls: list[LLMCalled]) -> None:
    with agent_run(agent_name="writer", run_id="r1"):
        llm_called.send(LLMCalled(model="m", status="success", duration=0.1))
        llm_called.send(LLMCalled(model="m", status="success", duration=0.1, agent_name="mine", run_id="r2"))
    llm_called.send(LLMCalled(model="m", status="success", duration=0.1))
    assert [(event.agent_name, event.run_id) for event in calls] == [("writer", "r1"), ("mine", "r2"), ("unknown", "")]


def test_own_sums_of_nested_agents_add_up_to_those_of_the_models() -> None:
    with agent_finished.captured() as ended:
        with agent_run(agent_name="planner"):
            with agent_run(agent_name="writer"):
                call(100)
                with agent_run(agent_name="planner"):
                    call(20)
            with agent_run(agent_name="idle"):
                pass
            call(3)
        with agent_run(agent_name="boss"), agent_run(agent_name="writer"):
            call(1000)
    sums = [(event.agent_name, event.prompt_tokens, event.own_prompt_tokens) for event in ended]
    assert sums == [
        ("planner", 20, 20), ("writer", 120, 100), ("idle", 0, 0), ("planner", 123, 3),
        ("writer", 1000, 1000), ("boss", 1000, 0),
    ]  # fmt: skip
    assert sum(event.own_prompt_tokens or 0 for event in ended) == 1123


def test_an_execution_told_by_hand_has_its_amounts_as_its_own() -> None:
    with agent_finished.captured() as ended:
        agent_finished.emit(agent_name="a", status="success", duration=1.0, prompt_tokens=5, cost=0.5)
        with agent_run(agent_name="b") as run:
            run.note(prompt_tokens=7)
    assert [(event.own_prompt_tokens, event.own_cost) for event in ended] == [(5, 0.5), (7, None)]
