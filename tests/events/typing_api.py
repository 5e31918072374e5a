"""How the bus is called, right and wrong, for the type checker alone: it never runs.

Each ignore stands for one error that has to be seen; where it is no longer seen, the ignore itself is the error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from events import (
    ActiveSpan,
    AgentFinished,
    AgentStarted,
    LLMCalled,
    Signal,
    agent_finished,
    agent_run,
    background,
    llm_called,
    workflow_run,
)


def emits() -> None:
    llm_called.emit(model="m", status="success", duration=1.0)
    llm_called.emit(model="m", status="timeout", duration=1, prompt_tokens=None, cost=0.1, agent_name="writer")
    llm_called.emit(modle="m", status="success", duration=1.0)  # type: ignore[call-arg]  # misspelt
    llm_called.emit(model="m", status="success")  # type: ignore[call-arg]  # missing
    llm_called.emit(model="m", status="succes", duration=1.0)  # type: ignore[arg-type]  # not one of its values
    llm_called.emit(model="m", status="success", duration="1")  # type: ignore[arg-type]  # text for a number
    llm_called.emit(model=None, status="success", duration=1.0)  # type: ignore[arg-type]  # nothing for a label
    llm_called.emit("m", status="success", duration=1.0)  # type: ignore[call-arg]  # not named


def spans() -> None:
    with agent_run(agent_name="writer", task="slogan") as run:
        assert_type(run, ActiveSpan)
        run.note(llm_calls=2)
    agent_run(agent="writer")  # type: ignore[call-arg]  # misspelt
    agent_run(task="slogan")  # type: ignore[call-arg]  # missing
    agent_run(agent_name=1)  # type: ignore[arg-type]  # a number for a label
    agent_run(agent_name="writer", status="success")  # type: ignore[call-arg]  # known only at the end
    agent_run("slogan", agent_name="writer")  # type: ignore[call-arg]  # not named
    workflow_run(run_id="r1", workflow_type="campaign", queue_wait=0.5)
    workflow_run(workflow_type="campaign")  # type: ignore[call-arg]  # missing


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


async def wraps() -> None:
    assert_type(plain("a", times=2), str)
    assert_type(await awaited("a"), int)
    assert_type(yielded("a"), Iterator[str])
    assert_type(streamed("a"), AsyncIterator[str])
    plain("a", tims=2)  # type: ignore[call-arg]  # the function's own arguments are still checked
    await awaited(1)  # type: ignore[arg-type]  # the same
    agent_run.wrap(agent="writer")  # type: ignore[call-arg]  # misspelt
    agent_run.wrap()  # type: ignore[call-arg]  # missing
    agent_run.wrap(agent_name=1)  # type: ignore[arg-type]  # a number for a label


def listens(event: AgentFinished) -> None: ...


async def listens_slowly(event: AgentFinished) -> None: ...


def connects() -> None:
    assert_type(agent_finished.connect(listens)(AgentFinished(agent_name="w", status="error", duration=1.0)), None)
    agent_finished.connect(background(listens_slowly))
    with llm_called.captured() as calls:
        assert_type(calls, list[LLMCalled])


def declares() -> None:
    started = Signal(AgentStarted)
    started.emit(agent_name="writer")
    started.emit(agnet_name="writer")  # type: ignore[call-arg]  # misspelt, for a signal of one's own
