"""An aggregator computes fields of a span's finished event from the events emitted inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from threading import Thread
from typing import Any

import pytest
from blinker import Namespace

from events import (
    Aggregator,
    Key,
    Seconds,
    Signal,
    Span,
    Status,
    propagate_scope,
    receiver_failed,
    tool_called,
    total,
)

names = Namespace()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarted:
    """A job started."""

    job_id: Key = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFinished:
    """A job ended."""

    job_id: Key = ""
    status: Status
    duration: Seconds
    error: str = ""
    tools: tuple[str, ...] | None = None
    uses: int = total("tool_called")


class ToolNames(Aggregator):
    """The names of the tools that a job used."""

    signals = frozenset({"tool_called"})
    fields = frozenset({"tools"})

    def __init__(self, started: float) -> None:
        self.started = started
        self.names: list[str] = []

    def add(self, signal: str, values: Mapping[str, Any]) -> None:
        """Take the use of a tool."""
        assert signal == "tool_called"
        self.names.append(values["tool_name"])

    def result(self, ended: float) -> dict[str, Any]:
        """Return the names."""
        assert ended >= self.started
        return {"tools": (*self.names,)}


job_started, job_finished = Signal(JobStarted, names), Signal(JobFinished, names)
job = Span(job_started, job_finished, aggregator=ToolNames)


def use(tool: str) -> None:
    """Emit that a tool was used."""
    tool_called.emit(tool_name=tool, status="success", duration=0.1)


def test_the_finished_event_has_what_the_aggregator_made_of_the_events_inside() -> None:
    with job_finished.captured() as finished, job():
        use("search")
        with job():
            use("read")
    assert [(end.tools, end.uses) for end in finished] == [(("read",), 1), (("search", "read"), 2)]


def test_a_bound_emitters_events_are_taken_too() -> None:
    emitters = tool_called.bind_by(("tool_name",), ("duration",), status="success")
    with job_finished.captured() as finished, job():
        emitters["search",]((0.1,))
        emitters["read",]((0.2,))
    assert finished[0].tools == ("search", "read")


def test_threads_inside_the_span_add_to_it_at_once() -> None:
    def read_often() -> None:
        for _ in range(500):
            use("read")

    with job_finished.captured() as finished, job():
        threads = [Thread(target=propagate_scope(read_often)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert finished[0].tools == ("read",) * 2000


def test_a_field_that_is_noted_wins() -> None:
    with job_finished.captured() as finished, job() as running:
        use("search")
        running.note(tools=())
    assert finished[0].tools == ()


def test_what_is_emitted_after_the_end_is_not_taken() -> None:
    with job_finished.captured() as finished:
        span = job()
        span.start()
        with span.step():
            span.end(None)
            use("late")
    assert finished[0].tools == ()
    assert span._scope is not None
    assert span._scope.aggregator is None


class Broken(ToolNames):
    """An aggregator that fails where a tool says so."""

    def add(self, signal: str, values: Mapping[str, Any]) -> None:
        """Fail."""
        raise ValueError(signal)

    def result(self, ended: float) -> dict[str, Any]:
        """Fail."""
        raise ValueError(str(ended))


@pytest.mark.lenient
def test_an_aggregator_that_fails_is_reported_and_harms_nobody() -> None:
    broken = Span(job_started, job_finished, aggregator=Broken)
    with job_finished.captured() as finished, receiver_failed.captured() as failures, broken():
        use("search")
    assert [(end.status, end.tools, end.uses) for end in finished] == [("success", None, 1)]
    assert [(failure.signal, failure.receiver) for failure in failures] == [
        ("tool_called", "aggregate"),
        ("job_finished", "aggregate"),
    ]


def test_strict_raises_what_an_aggregator_raises() -> None:
    broken = Span(job_started, job_finished, aggregator=Broken)()
    broken.start()
    with broken.step(), pytest.raises(ValueError, match="tool_called"):
        use("search")
    with pytest.raises(ValueError, match=r"^\d"):
        broken.end(None)


def test_an_aggregator_whose_fields_the_event_lacks_is_refused() -> None:
    class Unfit(ToolNames):
        fields = frozenset({"tools", "toolbox"})

    with pytest.raises(TypeError, match="job_finished lacks toolbox"):
        Span(job_started, job_finished, aggregator=Unfit)
