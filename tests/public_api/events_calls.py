# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""How `events` is called, right and wrong, for type checkers alone: it never runs.

Each ignore stands for one error that has to be seen; where it is no longer seen, the ignore itself is the error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import assert_type

from events import (
    ActiveSpan,
    AgentFinished,
    AgentStarted,
    Background,
    Key,
    Label,
    LLMCalled,
    Seconds,
    Signal,
    Span,
    Status,
    agent_finished,
    agent_run,
    agent_started,
    background,
    inherited,
    llm_called,
    strict,
    total,
    workflow_run,
)
from events.bus.emitters import EmitFn, EmitterCache


def emit() -> None:
    llm_called.emit(model="m", status="success", duration=1.0)
    llm_called.emit(model="m", status="timeout", duration=1, prompt_tokens=None, cost=0.1, agent_name="writer")
    llm_called.emit(modle="m", status="success", duration=1.0)  # type: ignore[call-arg]  # misspelt
    llm_called.emit(model="m", status="success")  # type: ignore[call-arg]  # missing
    llm_called.emit(model="m", status="succes", duration=1.0)  # type: ignore[arg-type]  # not one of its values
    llm_called.emit(model="m", status="success", duration="1")  # type: ignore[arg-type]  # text for a number
    llm_called.emit(model=None, status="success", duration=1.0)  # type: ignore[arg-type]  # nothing for a label
    llm_called.emit("m", status="success", duration=1.0)  # type: ignore[call-arg]  # not named


def bind() -> None:
    emit_success = llm_called.bind("duration", "prompt_tokens", model="m", status="success")
    assert_type(emit_success, EmitFn)
    emit_success((0.1, 5))
    emit_success((0.1, 5), 6)  # type: ignore[call-arg]  # more than one tuple
    emit_success([0.1, 5])  # type: ignore[arg-type]  # a list for a tuple
    llm_called.bind(1, model="m")  # type: ignore[arg-type]  # a number for a field's name
    by_model = llm_called.bind_by(("model", "status"), ("duration",), provider="p")
    assert_type(by_model, EmitterCache)
    by_model["m", "success"]((0.1,))
    by_model["m", "success"](0.1)  # type: ignore[arg-type]  # a number for a tuple
    llm_called.bind_by("model", ("duration",))  # type: ignore[arg-type]  # a name for a tuple of names
    llm_called.bind_by(("model",))  # type: ignore[call-arg]  # missing


def span() -> None:
    with agent_run(agent_name="writer", task="slogan") as run:
        assert_type(run, ActiveSpan)
        run.note(llm_calls=2)
        run.note(2)  # type: ignore[call-arg]  # not named
        assert_type(run.elapsed, float)
        run.elapsed = 0.0  # type: ignore[misc]  # measured, not set
    agent_run(agent="writer")  # type: ignore[call-arg]  # misspelt
    agent_run(task="slogan")  # type: ignore[call-arg]  # missing
    agent_run(agent_name=1)  # type: ignore[arg-type]  # a number for a label
    agent_run(agent_name="writer", status="success")  # type: ignore[call-arg]  # known only at the end
    agent_run("slogan", agent_name="writer")  # type: ignore[call-arg]  # not named
    workflow_run(run_id="r1", workflow_type="campaign", queue_wait=0.5)
    workflow_run(workflow_type="campaign")  # type: ignore[call-arg]  # missing
    assert_type(workflow_run.scope(run_id="r1"), AbstractContextManager[None])
    workflow_run.scope("r1")  # type: ignore[call-arg]  # not named


@agent_run.wrap(agent_name="writer")
def plain(text: str, times: int = 1) -> str:
    return text * times


@agent_run.wrap(agent_name="writer")
async def awaited(text: str) -> int:
    return len(text)


@agent_run.wrap(agent_name="writer")
def yielded(text: str) -> Iterator[str]:
    yield text


@agent_run.wrap(agent_name="writer")
async def streamed(text: str) -> AsyncIterator[str]:
    yield text


async def wrap() -> None:
    assert_type(plain("a", times=2), str)
    assert_type(await awaited("a"), int)
    assert_type(yielded("a"), Iterator[str])
    assert_type(streamed("a"), AsyncIterator[str])
    plain("a", tims=2)  # type: ignore[call-arg]  # the function's own arguments are still checked
    await awaited(1)  # type: ignore[arg-type]  # the same
    agent_run.wrap(agent="writer")  # type: ignore[call-arg]  # misspelt
    agent_run.wrap()  # type: ignore[call-arg]  # missing
    agent_run.wrap(agent_name=1)  # type: ignore[arg-type]  # a number for a label


def receive(event: AgentFinished) -> None: ...


async def receive_slowly(event: AgentFinished) -> None: ...


def receive_call(event: LLMCalled) -> None: ...


def receive_anything(event: object) -> None: ...


@agent_finished.connect
def decorated(event: AgentFinished) -> int:
    return event.llm_calls


def connect() -> None:
    connected: Callable[[AgentFinished], None] = agent_finished.connect(receive)
    connected(1)  # type: ignore[arg-type]  # still takes what it took before
    assert_type(decorated(AgentFinished(agent_name="w", status="error", duration=1.0)), int)
    agent_finished.connect(receive, weak=True)
    agent_finished.connect(receive_anything)
    agent_finished.connect(lambda event: event.llm_calls)
    agent_finished.connect(receive_call)  # type: ignore[arg-type]  # takes another event
    agent_finished.connect(1)  # type: ignore[call-overload]  # nothing to call
    agent_finished.connect(receive, weka=True)  # type: ignore[call-overload]  # misspelt
    agent_finished.disconnect(receive)
    with agent_finished.muted(), strict():
        pass


def capture() -> None:
    with llm_called.captured() as calls:
        assert_type(calls, list[LLMCalled])
    calls[0].modle  # type: ignore[attr-defined]  # misspelt  # noqa: B018
    calls[0].model = "m"  # type: ignore[misc]  # frozen


def listen_in_background() -> None:
    assert_type(background(receive_slowly), Background)
    agent_finished.connect(background(receive_slowly, size=10, drain=0.5))
    background(receive_slowly, size="10")  # type: ignore[arg-type]  # text for a number
    background(receive_slowly, 10)  # type: ignore[call-arg]  # not named
    background()  # type: ignore[call-arg]  # missing
    with background(receive) as receiver:
        assert_type(receiver, Background)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewStarted:
    """A review began."""

    review_id: Key = ""
    reviewer: Label
    agent_name: Label = inherited()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewFinished:
    """A review ended."""

    review_id: Key = ""
    reviewer: Label
    agent_name: Label = inherited()
    status: Status
    duration: Seconds
    error: str = ""
    calls: int = total("llm_called")
    seconds: Seconds = total("llm_called", "duration", start=0.0)


def declare() -> None:
    review_started = Signal(ReviewStarted)
    review_finished = Signal(ReviewFinished)
    review = Span(review_started, review_finished)
    with review(reviewer="editor"):
        review_started.emit(reviewer="editor")
    review_started.emit(reviwer="editor")  # type: ignore[call-arg]  # misspelt, for a signal of one's own
    review(reviwer="editor")  # type: ignore[call-arg]  # the same
    Signal(1)  # type: ignore[arg-type]  # no class
    Span(agent_started, AgentFinished)  # type: ignore[arg-type]  # an event for a signal
    Span(agent_started, agent_finished, {"succes": "done"})  # type: ignore[dict-item]  # no such outcome
    total(1)  # type: ignore[arg-type]  # a number for a signal's name
    AgentStarted("slogan", agent_name="writer")  # type: ignore[call-arg]  # not named
