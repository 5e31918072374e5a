"""A span emits one started event and exactly one finished event, however its block ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, make_dataclass
from time import perf_counter
from typing import Any, Literal, NamedTuple

import pytest
from blinker import Namespace, default_namespace

from events import (
    AgentFinished,
    AgentStarted,
    Signal,
    Span,
    agent_finished,
    agent_run,
    agent_started,
    current_span,
    llm_called,
    receiver_failed,
    strict,
    workflow_finished,
    workflow_run,
)
from events.bus.failures import report_failure
from events.bus.fields import Key, Label, Seconds, Status, total
from events.bus.scope import current_scope
from events.bus.span import SpanOutcome
from tests.support.wait import until


class AgentEvents(NamedTuple):
    """The events of the agent runs of one test."""

    started: list[AgentStarted]
    finished: list[AgentFinished]


@pytest.fixture(autouse=True)
def recorded() -> Iterator[AgentEvents]:
    """Record the events of agent runs."""
    with agent_started.captured() as started, agent_finished.captured() as finished:
        yield AgentEvents(started, finished)


def test_a_block_that_runs_to_its_end_is_a_success(recorded: AgentEvents) -> None:
    before = perf_counter()
    with agent_run(agent_name="writer", task="slogan"):
        assert len(recorded.started) == 1
        assert not recorded.finished
    spent = perf_counter() - before
    (start,), (end,) = recorded
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
def test_a_block_that_raises_is_finished_once_and_the_error_passes_on(
    recorded: AgentEvents, raised: BaseException, status: Status
) -> None:
    with pytest.raises(type(raised)) as passed, agent_run(agent_name="writer"):
        raise raised
    assert passed.value is raised
    assert passed.value.__context__ is None
    (end,) = recorded.finished
    assert (end.status, end.error) == (status, type(raised).__name__)


def test_the_finished_event_is_emitted_outside_the_span(recorded: AgentEvents) -> None:
    """An event that its receiver emits comes too late to be part of the span."""

    def answer(event: AgentFinished) -> None:
        llm_called.emit(model="m", status="success", duration=0.1)

    with llm_called.captured() as calls, agent_finished.connected_to(answer), agent_run(agent_name="writer"):
        pass
    assert calls[0].agent_name == "unknown"


def test_a_block_left_by_return_or_break_is_a_success(recorded: AgentEvents) -> None:
    def returning() -> int:
        with agent_run(agent_name="writer"):
            return 1

    assert returning() == 1
    for _ in range(3):
        with agent_run(agent_name="writer"):
            break
    assert [end.status for end in recorded.finished] == ["success", "success"]


async def test_a_cancelled_task_is_cancelled(recorded: AgentEvents) -> None:
    async def work() -> None:
        with agent_run(agent_name="writer"):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await until(lambda: recorded.started)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [end.status for end in recorded.finished] == ["cancelled"]


async def test_a_failing_task_of_a_group_is_an_error_and_its_sibling_is_cancelled(recorded: AgentEvents) -> None:
    async def wait() -> None:
        with agent_run(agent_name="waiting"):
            await asyncio.Event().wait()

    async def fail() -> None:
        with agent_run(agent_name="failing"):
            await until(lambda: len(recorded.started) == 2)
            raise ValueError

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait())
            group.create_task(fail())

    with pytest.raises(ExceptionGroup):
        await both()
    assert {end.agent_name: end.status for end in recorded.finished} == {"waiting": "cancelled", "failing": "error"}


async def test_a_timeout_set_inside_the_span_is_a_timeout(recorded: AgentEvents) -> None:
    with pytest.raises(TimeoutError), agent_run(agent_name="writer"):
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()
    assert [(end.status, end.error) for end in recorded.finished] == [("timeout", "TimeoutError")]


async def test_a_timeout_set_around_the_span_reaches_it_as_a_cancellation(recorded: AgentEvents) -> None:
    async def work() -> None:
        with agent_run(agent_name="writer"):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(work(), 0.001)
    assert [(end.status, end.error) for end in recorded.finished] == [("cancelled", "CancelledError")]


@pytest.mark.parametrize(
    ("raised", "status"),
    [(None, "completed"), (ValueError(), "failed"), (TimeoutError(), "failed"), (KeyboardInterrupt(), "cancelled")],
    ids=repr,
)
def test_a_span_maps_outcomes_to_statuses_of_its_own(raised: BaseException | None, status: str) -> None:
    with (
        workflow_finished.captured() as finished,
        suppress(ValueError, TimeoutError, KeyboardInterrupt),
        workflow_run(run_id="r1", workflow_type="campaign"),
    ):
        if raised is not None:
            raise raised
    assert [end.status for end in finished] == [status]


def test_a_missing_key_is_made_up_equal_in_both_events_and_new_each_time(recorded: AgentEvents) -> None:
    for _ in range(2):
        with agent_run(agent_name="writer"):
            pass
    keys = [start.execution_id for start in recorded.started]
    assert keys == [end.execution_id for end in recorded.finished]
    assert len({*keys}) == 2
    assert all(keys)


def test_a_key_that_is_set_is_used(recorded: AgentEvents) -> None:
    with agent_run(agent_name="writer", execution_id="mine"):
        pass
    assert (recorded.started[0].execution_id, recorded.finished[0].execution_id) == ("mine", "mine")


@pytest.mark.lenient
def test_the_key_cannot_be_noted(recorded: AgentEvents) -> None:
    """A start and an end under two keys would leave an in-flight gauge up for ever."""
    with receiver_failed.captured() as failures, agent_run(agent_name="writer") as run:
        run.note(execution_id="another")
    assert recorded.started[0].execution_id == recorded.finished[0].execution_id
    assert [failure.receiver for failure in failures] == ["note"]


def test_a_noted_field_is_in_the_finished_event(recorded: AgentEvents) -> None:
    with agent_run(agent_name="writer", task="slogan") as run:
        run.note(llm_calls=2)
        run.note(task="headline", cost=0.5)
    (start,), (end,) = recorded
    assert start.task == "slogan"
    assert (end.task, end.llm_calls, end.cost) == ("headline", 2, 0.5)


def test_a_failure_without_an_exception_can_be_noted(recorded: AgentEvents) -> None:
    with agent_run(agent_name="writer") as run:
        run.note(status="error", error="Rejected")
    assert (recorded.finished[0].status, recorded.finished[0].error) == ("error", "Rejected")


def test_a_note_before_the_start_is_in_the_finished_event(recorded: AgentEvents) -> None:
    run = agent_run(agent_name="writer")
    run.note(cost=0.5)
    with run:
        pass
    assert recorded.finished[0].cost == 0.5


@pytest.mark.lenient
def test_a_wrong_note_neither_masks_the_users_exception_nor_loses_the_end(recorded: AgentEvents) -> None:
    def work() -> None:
        with agent_run(agent_name="writer") as run:
            run.note(lmm_calls=2, cost=0.5, duration=0.0)
            raise ValueError("the user's own")

    with receiver_failed.captured() as failures, pytest.raises(ValueError, match="the user's"):
        work()
    assert [(failure.signal, failure.receiver, failure.error) for failure in failures] == [
        ("agent_finished", "note", "TypeError")
    ]
    (end,) = recorded.finished
    assert (end.status, end.error, end.cost) == ("error", "ValueError", 0.5)
    assert end.duration > 0


def test_strict_raises_at_the_line_of_the_wrong_note() -> None:
    with agent_run(agent_name="writer") as run, pytest.raises(TypeError, match="noted as duration, lmm_calls"):
        run.note(lmm_calls=2, duration=0.0)


def test_strict_raises_where_a_note_or_a_scope_has_a_value_outside_the_closed_set(recorded: AgentEvents) -> None:
    unknown: Any = "novel"
    with agent_run(agent_name="writer") as run, pytest.raises(ValueError, match="novel"):
        run.note(status=unknown)
    with pytest.raises(ValueError, match="novel"):
        agent_run.scope(status=unknown)
    assert recorded.finished[0].status == "success"


@pytest.mark.lenient
def test_outside_of_strict_a_value_outside_the_closed_set_is_noted(recorded: AgentEvents) -> None:
    unknown: Any = "novel"
    with agent_run(agent_name="writer") as run:
        run.note(status=unknown)
    with agent_run.scope(status=unknown):
        pass
    assert [str(end.status) for end in recorded.finished] == ["novel"]


def test_an_active_span_knows_its_kind() -> None:
    with workflow_run(run_id="r1", workflow_type="demo") as outer, agent_run(agent_name="writer") as inner:
        assert (outer.kind, inner.kind) == (workflow_run, agent_run)
        assert current_span() is inner
        assert current_span(workflow_run) is outer
    assert current_span() is None


@pytest.mark.lenient
def test_a_note_after_the_end_is_reported(recorded: AgentEvents) -> None:
    with receiver_failed.captured() as failures:
        with agent_run(agent_name="writer") as run:
            pass
        run.note(cost=0.5)
    assert [(failure.receiver, failure.error) for failure in failures] == [("note", "RuntimeError")]
    assert recorded.finished[0].cost is None


def test_a_span_is_entered_once(recorded: AgentEvents) -> None:
    run = agent_run(agent_name="writer")
    with run, pytest.raises(RuntimeError, match="make a new one"):
        run.start()
    with pytest.raises(RuntimeError, match="make a new one"), run:
        pass
    assert (len(recorded.started), len(recorded.finished)) == (1, 1)


def test_a_second_end_does_nothing(recorded: AgentEvents) -> None:
    with agent_run(agent_name="writer") as run:
        run.end(None)
        run.end(ValueError())
    assert [end.status for end in recorded.finished] == ["success"]


def test_a_span_that_was_not_entered_has_no_steps_and_no_end(recorded: AgentEvents) -> None:
    run = agent_run(agent_name="writer")
    assert run.totals == {}
    assert run.elapsed >= 0
    with pytest.raises(RuntimeError, match="not entered"):
        run.step()
    run.end(None)
    assert not recorded.finished


def test_the_time_that_receivers_of_the_started_event_take_is_not_measured(recorded: AgentEvents) -> None:
    listened: list[float] = []
    with agent_started.connected_to(lambda event: listened.append(perf_counter())), agent_run(agent_name="writer"):
        pass
    assert recorded.finished[0].duration <= perf_counter() - listened[0]


@pytest.mark.lenient
def test_a_receiver_that_fails_at_the_start_or_the_end_changes_nothing(recorded: AgentEvents) -> None:
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
    assert [end.error for end in recorded.finished] == ["KeyError"]


async def test_a_generator_that_the_loop_closes_elsewhere_ends_its_span(recorded: AgentEvents) -> None:
    """The loop closes an abandoned generator in a task, and so a context, of its own."""

    async def stream() -> AsyncIterator[int]:
        with agent_run(agent_name="writer"):
            yield 1
            yield 2

    async def abandon() -> None:
        async for _ in stream():
            break

    await asyncio.create_task(abandon())
    await until(lambda: recorded.finished)
    assert [(end.status, end.error) for end in recorded.finished] == [("cancelled", "GeneratorExit")]
    assert current_scope.get() is None


def test_generators_that_end_in_another_order_than_they_began_leave_no_ended_span_behind(recorded: AgentEvents) -> None:
    def stream(name: str, items: int) -> Iterator[int]:
        with agent_run(agent_name=name):
            yield from range(items)

    pairs = zip(stream("long", 3), stream("short", 2), strict=False)
    assert len(list(pairs)) == 2
    del pairs
    assert [end.agent_name for end in recorded.finished] == ["short", "long"]
    assert current_scope.get() is None
    first, second = stream("first", 1), stream("second", 2)
    assert [next(first), next(second)] == [0, 0]
    assert list(first) == []
    assert list(second) == [1]
    assert current_scope.get() is None


def test_the_end_of_a_span_cleans_up_spans_left_open_inside(recorded: AgentEvents) -> None:
    def leaking() -> Generator[int, None, None]:
        with agent_run(agent_name="inner"):
            yield 1

    with agent_run(agent_name="outer"):
        leak = leaking()
        next(leak)
    assert current_scope.get() is None
    leak.close()
    assert current_scope.get() is None
    assert [end.agent_name for end in recorded.finished] == ["outer", "inner"]


@dataclass(frozen=True, kw_only=True)
class ReviewStarted:
    key: Key = ""
    name: Label = ""


@dataclass(frozen=True, kw_only=True)
class ReviewFinished:
    key: Key = ""
    name: Label = ""
    status: Status
    duration: Seconds
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class FinishedWithoutName:
    key: Key = ""
    status: Status
    duration: Seconds
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class FinishedWithOwnStatus:
    key: Key = ""
    name: Label = ""
    status: Literal["done", "undone"]
    duration: Seconds
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class StartedWithoutKey:
    name: Label = ""


@dataclass(frozen=True, kw_only=True)
class StartedWithTwoKeys:
    key: Key = ""
    name: Key = ""


@pytest.mark.parametrize(
    ("begun", "ended", "status", "complaint"),
    [
        (ReviewStarted, FinishedWithoutName, None, "finished_without_name lacks name"),
        (ReviewStarted, ReviewStarted, None, "review_started lacks duration, error, status .duration: Seconds, "),
        (
            ReviewStarted,
            FinishedWithOwnStatus,
            None,
            "finished_with_own_status: status does not map cancelled, error",
        ),
        (
            ReviewStarted,
            FinishedWithOwnStatus,
            {"success": "done", "error": "undone"},
            "does not map cancelled, timeout",
        ),
        (StartedWithoutKey, ReviewFinished, None, "needs one Key field .* it has 0"),
        (StartedWithTwoKeys, ReviewFinished, None, "needs one Key field .* it has 2"),
    ],
)
def test_events_that_do_not_pair_are_refused(begun: Any, ended: Any, status: Any, complaint: str) -> None:
    names = Namespace()
    started: Any = Signal(begun, names)
    with pytest.raises(TypeError, match=complaint):
        Span(started, started if ended is begun else Signal(ended, names), status)


def test_a_span_of_ones_own_takes_a_few_lines() -> None:
    names = Namespace()
    begun, ended = Signal(ReviewStarted, names), Signal(FinishedWithOwnStatus, names)
    span = Span(begun, ended, {"success": "done", "error": "undone", "timeout": "undone", "cancelled": "undone"})
    with ended.captured() as ends, span(name="own"):
        pass
    assert [(end.name, end.status) for end in ends] == [("own", "done")]


@dataclass(frozen=True, kw_only=True)
class ShiftStarted:
    shift_id: Key = ""


@dataclass(frozen=True, kw_only=True)
class ShiftFinished:
    shift_id: Key = ""
    status: Status
    duration: Seconds
    error: str = ""
    prompt_tokens: int = total("llm_called", "prompt_tokens")
    billed_tokens: int = total("llm_called", "prompt_tokens")
    calls: int = total("llm_called")
    own_tokens: int = total("llm_called", "prompt_tokens", own=True)
    own_completion: int = total("llm_called", "completion_tokens", own=True)


def test_fields_may_sum_the_same_and_own_sums_leave_out_what_is_inside() -> None:
    """An own sum may stand by itself, or beside the sums that it is a part of."""
    names = Namespace()
    began, ended = Signal(ShiftStarted, names), Signal(ShiftFinished, names)
    shift = Span(began, ended)
    with ended.captured() as ends, shift() as outer:
        llm_called.emit(model="m", status="success", duration=0.1, prompt_tokens=5, completion_tokens=3)
        with shift():
            llm_called.emit(model="m", status="success", duration=0.1, prompt_tokens=7, completion_tokens=2)
        assert outer.totals["prompt_tokens"] == 12
    assert [(end.prompt_tokens, end.billed_tokens, end.calls, end.own_tokens, end.own_completion) for end in ends] == [
        (7, 7, 1, 7, 2),
        (12, 12, 2, 5, 3),
    ]


@pytest.mark.parametrize("enter", [agent_run, agent_run.scope])
@pytest.mark.parametrize("by_stack", [False, True], ids=["with", "ExitStack"])
def test_what_a_generator_holds_open_is_not_around_its_consumer(enter: Any, by_stack: bool) -> None:
    def stream() -> Iterator[str]:
        with ExitStack() as stack:
            if by_stack:
                stack.enter_context(enter(agent_name="writer"))
                yield current_agent()
                yield current_agent()
                return
            with enter(agent_name="writer"):
                yield current_agent()
                yield current_agent()

    assert [(inside, current_agent()) for inside in stream()] == [("writer", "unknown")] * 2


def test_what_a_context_manager_enters_by_a_stack_is_around_its_block() -> None:
    @contextmanager
    def writing() -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(agent_run(agent_name="writer"))
            yield

    with writing():
        assert current_agent() == "writer"
    assert current_agent() == "unknown"


def current_agent() -> str:
    """Return the name that a call to a model has here."""
    with llm_called.captured() as calls:
        llm_called.emit(model="m", status="success", duration=0.1)
    return calls[0].agent_name


@contextmanager
def reporting_manager() -> Iterator[None]:
    """Report a failure, as a span inside another context manager would."""
    report_failure("agent_finished", "note", TypeError())
    yield


@pytest.mark.lenient
def test_a_failure_can_be_reported_from_anywhere() -> None:
    with receiver_failed.captured() as failures, reporting_manager():
        pass
    assert len(failures) == 1


@dataclass(frozen=True, kw_only=True)
class BareStarted:
    name: Label


@dataclass(frozen=True, kw_only=True)
class BareFinished:
    status: SpanOutcome


def test_all_that_the_events_of_a_span_lack_is_named_at_once() -> None:
    names = Namespace()
    with pytest.raises(
        TypeError,
        match=r"bare_finished lacks duration, error, name .duration: Seconds, error: str = ''.;"
        r" bare_started needs one Key field .* has 0: declare one in both events, as in bare_id: Key$",
    ):
        Span(Signal(BareStarted, names), Signal(BareFinished, names))


def test_a_span_of_classes_in_place_of_signals_is_refused() -> None:
    untyped: Any = Span
    with pytest.raises(TypeError, match=r"started is a signal, as Signal.* got <class.*; finished is a signal"):
        untyped(BareStarted, BareFinished)


@pytest.fixture
def declare_span() -> Iterator[Callable[..., Span[...]]]:
    """Return a function that declares a span with a total, in blinker's namespace, which is tidied up."""
    before = {*default_namespace}

    def declare(*summed: str) -> Span[...]:
        started = make_dataclass("SumStarted", [("key", Key, "")], frozen=True, kw_only=True)
        ended = make_dataclass(
            "SumFinished",
            [
                ("amount", float, total(*summed)),
                ("status", SpanOutcome, "success"),
                ("duration", Seconds, 0.0),
                ("error", str, ""),
            ],
            bases=(started,),
            frozen=True,
            kw_only=True,
        )
        return Span(Signal(started), Signal(ended))

    yield declare
    for name in {*default_namespace} - before:
        del default_namespace[name]


@pytest.mark.parametrize(
    ("field", "complaint"),
    [
        ("costs", "sum_finished: amount is a total of llm_called, which has no field 'costs'; it has .*cost"),
        ("model", "sum_finished: amount is a total of llm_called, whose field 'model' is no number"),
    ],
)
def test_a_total_of_a_field_that_cannot_be_summed_is_refused(
    declare_span: Callable[..., Span[...]], field: str, complaint: str
) -> None:
    with pytest.raises(TypeError, match=complaint):
        declare_span("llm_called", field)


def test_a_total_of_a_signal_that_is_not_declared_by_the_first_use_is_an_error_in_strict_blocks(
    declare_span: Callable[..., Span[...]],
) -> None:
    span = declare_span("sum_later", "amount")
    with strict(), pytest.raises(TypeError, match="amount is a total of 'sum_later', which is the name of no decl"):
        span().start()
    Signal(make_dataclass("SumLater", [("size", int, 0)], frozen=True, kw_only=True))
    with (
        strict(),
        pytest.raises(TypeError, match="amount is a total of sum_later, which has no field 'amount'; it has"),
    ):
        span().start()
    del default_namespace["sum_later"]
    later: Any = Signal(make_dataclass("SumLater", [("amount", int, 0)], frozen=True, kw_only=True))
    with strict(), span.finished.captured() as ends, span():
        later.emit(amount=3)
    assert ends[0].amount == 3
