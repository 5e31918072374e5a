"""The hooks that are called when code enters a scope, and when it leaves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from events import AgentFinished, agent_finished, agent_run, propagate_scope
from events.bus.scope import Scope, entry_hooks


@pytest.fixture
def seen() -> Iterator[list[str]]:
    """Yield what was entered and left."""
    seen: list[str] = []

    def enter(scope: Scope) -> Callable[[], object]:
        name = scope.fields.get("agent_name", scope.kind)
        seen.append(f"in {name}")
        return lambda: seen.append(f"out {name}")

    entry_hooks.append(enter)
    try:
        yield seen
    finally:
        entry_hooks.remove(enter)


def test_a_span_is_entered_and_left_after_its_end_is_told(seen: list[str]) -> None:
    def note_end(event: AgentFinished) -> None:
        seen.append(f"end {event.agent_name}")

    with agent_finished.connected_to(note_end), agent_run(agent_name="outer"), agent_run(agent_name="inner"):
        seen.append("inside")
    assert seen == ["in outer", "in inner", "inside", "end inner", "out inner", "end outer", "out outer"]


def test_a_scope_whose_events_are_told_elsewhere_is_entered_too(seen: list[str]) -> None:
    with agent_run.scope(agent_name="told elsewhere"):
        seen.append("inside")
    assert seen == ["in told elsewhere", "inside", "out told elsewhere"]


def test_a_generators_span_is_entered_for_each_step(seen: list[str]) -> None:
    @agent_run.wrap(agent_name="writer")
    def write() -> Iterator[int]:
        yield 1

    for _ in write():
        assert seen == ["in writer", "out writer"]
        seen.append("outside")
    assert seen == ["in writer", "out writer", "outside", "in writer", "out writer"]


def test_a_span_that_a_generator_holds_is_not_entered(seen: list[str]) -> None:
    """Its caller is outside while it is suspended, and nobody says when that is."""

    def write() -> Iterator[int]:
        with agent_run(agent_name="writer"):
            yield 1

    assert [*write()] == [1]
    assert seen == []


def test_a_thread_that_the_scope_is_carried_to_enters_it(seen: list[str]) -> None:
    with ThreadPoolExecutor() as pool, agent_run(agent_name="writer"):
        pool.submit(propagate_scope(lambda: seen.append("inside"))).result()
    assert seen == ["in writer", "in writer", "inside", "out writer", "out writer"]


def test_hooks_leave_in_the_order_of_with_blocks(seen: list[str]) -> None:
    def enter_last(_scope: Scope) -> Callable[[], object]:
        seen.append("in last")
        return lambda: seen.append("out last")

    entry_hooks.append(enter_last)
    try:
        with agent_run(agent_name="writer"):
            pass
    finally:
        entry_hooks.remove(enter_last)
    assert seen == ["in writer", "in last", "out last", "out writer"]


def test_a_span_that_was_entered_before_there_were_hooks_is_left_all_the_same() -> None:
    hooked: list[Scope] = []
    with agent_run(agent_name="writer"):
        entry_hooks.append(hooked.append)
    entry_hooks.remove(hooked.append)
    assert hooked == []
