"""Code is inside an agent while its run lasts, and its reader is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextvars import copy_context
from typing import Any

from events import agent_run
from events.bridges.langchain.run_scope import RunScope, enter_run_scope, is_within, leave_run_scope
from events.bus.scope import Scope, current_scope, get_effective_scope


def scope_of(name: str) -> Scope:
    """Return a scope of an agent."""
    return Scope({"agent_name": name}, None, {}, "agent")


def test_a_run_is_inside_until_it_ends() -> None:
    inside = scope_of("a")
    entered = enter_run_scope(inside)
    assert get_effective_scope() is inside
    leave_run_scope(entered)
    assert current_scope.get() is None


def test_where_the_context_cannot_be_put_back_the_scope_is_over_all_the_same() -> None:
    with agent_run(agent_name="around"):
        around = get_effective_scope()
        entered = enter_run_scope(scope_of("a"))
        copy_context().run(leave_run_scope, entered)
        assert current_scope.get() is entered
        assert get_effective_scope() is around
        with agent_run(agent_name="b"):
            assert get_effective_scope() is not around
        assert current_scope.get() is around
    assert current_scope.get() is None


def test_scopes_that_are_over_are_not_kept() -> None:
    for _ in range(3):
        entered = enter_run_scope(scope_of("a"))
        copy_context().run(leave_run_scope, entered)
        assert isinstance(entered, RunScope)
        assert entered.around is None
    current_scope.set(None)


def test_a_run_inside_a_run_ends_before_it() -> None:
    outer, inner = scope_of("outer"), scope_of("inner")
    first = enter_run_scope(outer)
    second = enter_run_scope(inner)
    assert get_effective_scope() is inner
    leave_run_scope(second)
    assert get_effective_scope() is outer
    leave_run_scope(first)
    assert get_effective_scope() is None


def test_the_reader_of_a_generator_is_outside() -> None:
    inside = scope_of("a")
    seen: list[Any] = []

    def run() -> Iterator[None]:
        entered = enter_run_scope(inside)
        seen.append(get_effective_scope())
        yield
        seen.append(get_effective_scope())
        leave_run_scope(entered)

    reader = [get_effective_scope() for _ in run()]
    assert (seen, reader) == ([inside, inside], [None])
    assert current_scope.get() is None


def test_the_reader_of_an_asynchronous_generator_is_outside_and_its_tasks_are_inside() -> None:
    inside = scope_of("a")
    seen: list[Any] = []

    async def look() -> None:
        seen.append(get_effective_scope())

    async def run() -> AsyncIterator[None]:
        enter_run_scope(inside)
        await asyncio.create_task(look())
        task = asyncio.create_task(asyncio.sleep(0.01))
        task.add_done_callback(lambda _: seen.append(get_effective_scope()))
        yield
        await task

    async def read() -> None:
        async for _ in run():
            await look()

    asyncio.run(read())
    assert seen[:2] == [inside, None]


def test_a_scope_is_within_those_around_it() -> None:
    outer = scope_of("a")
    inner = Scope({}, outer, {})
    assert is_within(inner, outer)
    assert is_within(outer, outer)
    assert not is_within(outer, inner)
    assert not is_within(None, outer)
