"""A span tells one start and exactly one end, however its block is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal

import pytest
from blinker import Namespace

from events import (
    AgentFinished,
    AgentStarted,
    Signal,
    Span,
    agent_finished,
    agent_run,
    agent_started,
    llm_called,
    receiver_failed,
    workflow_finished,
    workflow_run,
)
from events.bus.context import current_scope
from events.bus.failures import report_failure
from events.bus.fields import Key, Label, Seconds, Status
from tests.support.wait import until


@pytest.fixture(autouse=True)
def told() -> Iterator[tuple[list[AgentStarted], list[AgentFinished]]]:
    """Collect what agent runs tell."""
    with agent_started.captured() as started, agent_finished.captured() as finished:
        yield started, finished


Told = tuple[list[AgentStarted], list[AgentFinished]]


def test_a_block_that_ends_is_a_success(told: Told) -> None:
    before = perf_counter()
    with agent_run(agent_name="writer", task="slogan"):
        assert len(told[0]) == 1
        assert not told[1]
    spent = perf_counter() - before
    (start,), (end,) = told
    assert (start.agent_name, start.task) == (end.agent_name, end.task) == ("writer", "slogan")
    assert (end.status, end.error) == ("success", "")
    assert 0 <= end.duration <= spent


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (ValueError("bad"), "error"),
        (ExceptionGroup("several", [ValueError()]), "error"),
        (StopIteration(), "error"),
        (TimeoutError(), "timeout"),
        (asyncio.CancelledError(), "cancelled"),
        (GeneratorExit(), "cancelled"),
        (KeyboardInterrupt(), "cancelled"),
        (SystemExit(), "cancelled"),
    ],
    ids=repr,
)
def test_each_way_of_leaving_is_told_once_and_passes_on(told: Told, raised: BaseException, status: Status) -> None:
    with pytest.raises(type(raised)) as passed, agent_run(agent_name="writer"):
        raise raised
    assert passed.value is raised
    assert passed.value.__context__ is None
    (end,) = told[1]
    assert (end.status, end.error) == (status, type(raised).__name__)


def test_the_end_is_told_outside_the_span(told: Told) -> None:
    """What a listener tells in answer comes too late to be part of it."""

    def answer(event: AgentFinished) -> None:
        llm_called.emit(model="m", status="success", duration=0.1)

    with llm_called.captured() as calls, agent_finished.connected_to(answer), agent_run(agent_name="writer"):
        pass
    assert calls[0].agent_name == "unknown"


def test_a_block_left_by_return_or_break_is_a_success(told: Told) -> None:
    def returning() -> int:
        with agent_run(agent_name="writer"):
            return 1

    assert returning() == 1
    for _ in range(3):
        with agent_run(agent_name="writer"):
            break
    assert [end.status for end in told[1]] == ["success", "success"]


async def test_a_cancelled_task_is_cancelled(told: Told) -> None:
    async def work() -> None:
        with agent_run(agent_name="writer"):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await until(lambda: told[0])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [end.status for end in told[1]] == ["cancelled"]


async def test_a_failing_sibling_of_a_group_is_told_and_so_is_the_one_torn_down(told: Told) -> None:
    async def wait() -> None:
        with agent_run(agent_name="waiting"):
            await asyncio.Event().wait()

    async def fail() -> None:
        with agent_run(agent_name="failing"):
            await until(lambda: len(told[0]) == 2)
            raise ValueError

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait())
            group.create_task(fail())

    with pytest.raises(ExceptionGroup):
        await both()
    assert {end.agent_name: end.status for end in told[1]} == {"waiting": "cancelled", "failing": "error"}


async def test_a_timeout_set_inside_the_span_is_a_timeout(told: Told) -> None:
    with pytest.raises(TimeoutError), agent_run(agent_name="writer"):
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()
    assert [(end.status, end.error) for end in told[1]] == [("timeout", "TimeoutError")]


async def test_a_timeout_set_around_the_span_reaches_it_as_a_cancellation(told: Told) -> None:
    async def work() -> None:
        with agent_run(agent_name="writer"):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(work(), 0.001)
    assert [(end.status, end.error) for end in told[1]] == [("cancelled", "CancelledError")]


@pytest.mark.parametrize(
    ("raised", "status"),
    [(None, "completed"), (ValueError(), "failed"), (TimeoutError(), "failed"), (KeyboardInterrupt(), "cancelled")],
    ids=repr,
)
def test_a_span_maps_the_ways_of_leaving_to_words_of_its_own(raised: BaseException | None, status: str) -> None:
    with (
        workflow_finished.captured() as finished,
        suppress(ValueError, TimeoutError, KeyboardInterrupt),
        workflow_run(run_id="r1", workflow_type="campaign"),
    ):
        if raised is not None:
            raise raised
    assert [end.status for end in finished] == [status]


def test_the_key_is_filled_in_equal_in_both_and_new_each_time(told: Told) -> None:
    for _ in range(2):
        with agent_run(agent_name="writer"):
            pass
    keys = [start.execution_id for start in told[0]]
    assert keys == [end.execution_id for end in told[1]]
    assert len({*keys}) == 2
    assert all(keys)


def test_a_key_that_was_given_is_kept(told: Told) -> None:
    with agent_run(agent_name="writer", execution_id="mine"):
        pass
    assert (told[0][0].execution_id, told[1][0].execution_id) == ("mine", "mine")


@pytest.mark.lenient
def test_the_key_can_not_be_noted(told: Told) -> None:
    """A start and an end under two keys would leave an in-flight gauge up for ever."""
    with receiver_failed.captured() as failures, agent_run(agent_name="writer") as run:
        run.note(execution_id="another")
    assert told[0][0].execution_id == told[1][0].execution_id
    assert [failure.receiver for failure in failures] == ["note"]


def test_what_is_noted_joins_the_end(told: Told) -> None:
    with agent_run(agent_name="writer", task="slogan") as run:
        run.note(llm_calls=2)
        run.note(task="headline", cost=0.5)
    (start,), (end,) = told
    assert start.task == "slogan"
    assert (end.task, end.llm_calls, end.cost) == ("headline", 2, 0.5)


def test_a_failure_that_is_no_exception_can_be_noted(told: Told) -> None:
    with agent_run(agent_name="writer") as run:
        run.note(status="error", error="Rejected")
    assert (told[1][0].status, told[1][0].error) == ("error", "Rejected")


def test_a_note_before_the_start_is_kept_for_the_end(told: Told) -> None:
    run = agent_run(agent_name="writer")
    run.note(cost=0.5)
    with run:
        pass
    assert told[1][0].cost == 0.5


@pytest.mark.lenient
def test_a_wrong_note_neither_masks_the_users_exception_nor_loses_the_end(told: Told) -> None:
    def work() -> None:
        with agent_run(agent_name="writer") as run:
            run.note(lmm_calls=2, cost=0.5, duration=0.0)
            raise ValueError("the user's own")

    with receiver_failed.captured() as failures, pytest.raises(ValueError, match="the user's"):
        work()
    assert [(failure.signal, failure.receiver, failure.error) for failure in failures] == [
        ("agent_finished", "note", "TypeError")
    ]
    (end,) = told[1]
    assert (end.status, end.error, end.cost) == ("error", "ValueError", 0.5)
    assert end.duration > 0


def test_strict_raises_at_the_line_of_the_wrong_note() -> None:
    with agent_run(agent_name="writer") as run, pytest.raises(TypeError, match="noted as duration, lmm_calls"):
        run.note(lmm_calls=2, duration=0.0)


@pytest.mark.lenient
def test_a_note_that_comes_too_late_is_told(told: Told) -> None:
    with receiver_failed.captured() as failures:
        with agent_run(agent_name="writer") as run:
            pass
        run.note(cost=0.5)
    assert [(failure.receiver, failure.error) for failure in failures] == [("note", "RuntimeError")]
    assert told[1][0].cost is None


def test_a_span_is_entered_once(told: Told) -> None:
    run = agent_run(agent_name="writer")
    with run, pytest.raises(RuntimeError, match="make a new one"):
        run.start()
    with pytest.raises(RuntimeError, match="make a new one"), run:
        pass
    assert (len(told[0]), len(told[1])) == (1, 1)


def test_a_second_end_is_nothing(told: Told) -> None:
    with agent_run(agent_name="writer") as run:
        run.end(None)
        run.end(ValueError())
    assert [end.status for end in told[1]] == ["success"]


def test_what_was_not_entered_has_no_steps_and_no_end(told: Told) -> None:
    run = agent_run(agent_name="writer")
    assert run.totals == {}
    assert run.elapsed >= 0
    with pytest.raises(RuntimeError, match="not entered"):
        run.step()
    run.end(None)
    assert not told[1]


def test_the_time_that_listeners_of_the_start_take_is_not_measured(told: Told) -> None:
    listened: list[float] = []
    with agent_started.connected_to(lambda event: listened.append(perf_counter())), agent_run(agent_name="writer"):
        pass
    assert told[1][0].duration <= perf_counter() - listened[0]


@pytest.mark.lenient
def test_a_listener_that_fails_at_the_start_or_the_end_changes_nothing(told: Told) -> None:
    def broken(event: object) -> None:
        raise ValueError

    with (
        agent_started.connected_to(broken),
        agent_finished.connected_to(broken),
        pytest.raises(KeyError),
        agent_run(agent_name="writer"),
    ):
        raise KeyError
    assert current_scope.get() is None
    assert [end.error for end in told[1]] == ["KeyError"]


async def test_a_generator_that_the_loop_closes_elsewhere_ends_its_span(told: Told) -> None:
    """The loop closes an abandoned generator in a task, and so a context, of its own."""

    async def stream() -> AsyncIterator[int]:
        with agent_run(agent_name="writer"):
            yield 1
            yield 2

    async def abandon() -> None:
        async for _ in stream():
            break

    await asyncio.create_task(abandon())
    await until(lambda: told[1])
    assert [(end.status, end.error) for end in told[1]] == [("cancelled", "GeneratorExit")]
    assert current_scope.get() is None


def test_generators_that_end_in_another_order_than_begun_leave_no_ended_span_behind(told: Told) -> None:
    def stream(name: str, items: int) -> Iterator[int]:
        with agent_run(agent_name=name):
            yield from range(items)

    pairs = zip(stream("long", 3), stream("short", 2), strict=False)
    assert len(list(pairs)) == 2
    del pairs
    assert [end.agent_name for end in told[1]] == ["short", "long"]
    assert current_scope.get() is None
    first, second = stream("first", 1), stream("second", 2)
    assert [next(first), next(second)] == [0, 0]
    assert list(first) == []
    assert list(second) == [1]
    assert current_scope.get() is None


def test_leaving_a_span_cleans_up_what_leaked_inside(told: Told) -> None:
    def leaking() -> Generator[int, None, None]:
        with agent_run(agent_name="inner"):
            yield 1

    with agent_run(agent_name="outer"):
        leak = leaking()
        next(leak)
    assert current_scope.get() is None
    leak.close()
    assert current_scope.get() is None
    assert [end.agent_name for end in told[1]] == ["outer", "inner"]


@dataclass(frozen=True, kw_only=True)
class Begun:
    key: Key = ""
    name: Label = ""


@dataclass(frozen=True, kw_only=True)
class Ended:
    key: Key = ""
    name: Label = ""
    status: Status
    duration: Seconds
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class EndedNameless:
    key: Key = ""
    status: Status
    duration: Seconds
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class EndedInWordsOfItsOwn:
    key: Key = ""
    name: Label = ""
    status: Literal["done", "undone"]
    duration: Seconds
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class BegunKeyless:
    name: Label = ""


@dataclass(frozen=True, kw_only=True)
class BegunTwice:
    key: Key = ""
    name: Key = ""


@pytest.mark.parametrize(
    ("begun", "ended", "status", "complaint"),
    [
        (Begun, EndedNameless, None, "ended_nameless lacks name"),
        (Begun, Begun, None, "begun lacks duration, error, status"),
        (Begun, EndedInWordsOfItsOwn, None, "ended_in_words_of_its_own: status does not map cancelled, error, succ"),
        (Begun, EndedInWordsOfItsOwn, {"success": "done", "error": "undone"}, "does not map cancelled, timeout"),
        (BegunKeyless, Ended, None, "needs one Key field .* it has 0"),
        (BegunTwice, Ended, None, "needs one Key field .* it has 2"),
    ],
)
def test_events_that_make_no_pair_are_refused(begun: Any, ended: Any, status: Any, complaint: str) -> None:
    names = Namespace()
    started: Any = Signal(begun, names)
    with pytest.raises(TypeError, match=complaint):
        Span(started, started if ended is begun else Signal(ended, names), status)


def test_a_span_of_ones_own_takes_a_few_lines() -> None:
    names = Namespace()
    begun, ended = Signal(Begun, names), Signal(EndedInWordsOfItsOwn, names)
    span = Span(begun, ended, {"success": "done", "error": "undone", "timeout": "undone", "cancelled": "undone"})
    with ended.captured() as ends, span(name="own"):
        pass
    assert [(end.name, end.status) for end in ends] == [("own", "done")]


@contextmanager
def told_failures() -> Iterator[None]:
    """Tell one failure of our own making, as a span inside another context manager would."""
    report_failure("agent_finished", "note", TypeError())
    yield


@pytest.mark.lenient
def test_a_failure_can_be_told_from_anywhere() -> None:
    with receiver_failed.captured() as failures, told_failures():
        pass
    assert len(failures) == 1
