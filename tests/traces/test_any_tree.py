"""Whatever is nested in whatever, each span hangs under the one around it, and all of them end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import count
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import agent_run, llm_call, llm_called, propagate_scope, workflow_run
from tests.support.recorded_spans import RecordedSpans
from traces import trace_events


class Work(NamedTuple):
    """Something that is done, and what is done for it."""

    kind: str
    inside: tuple[Work, ...]


pytestmark = pytest.mark.slow

works = st.recursive(
    st.builds(Work, st.sampled_from(["call", "agent"]), st.just(())),
    lambda inner: st.builds(
        Work, st.sampled_from(["agent", "run", "model", "application"]), st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=12,
)


class Doing:
    """Does work, and notes what each thing is done for."""

    def __init__(self) -> None:
        self.provider = RecordedSpans()
        self.expected: dict[str, str | None] = {}
        self._numbers = count()

    def begin(self, work: Work, around: str | None) -> tuple[str, AbstractContextManager[object]]:
        """Return the name that the span will have, and a block for what is inside."""
        name = f"{work.kind}{next(self._numbers)}"
        match work.kind:
            case "agent":
                span, block = f"invoke_agent {name}", agent_run(agent_name=name)
            case "run":
                span, block = f"invoke_workflow {name}", workflow_run(run_id=name, workflow_type=name)
            case "model":
                span, block = f"chat {name}", llm_call(model=name)
            case _:
                self.expected[name] = around
                return name, self.provider.start_as_current_span(name)
        self.expected[span] = around
        return span, block

    def call(self, around: str | None) -> None:
        """Call a model, of which the end alone is told."""
        name = f"call{next(self._numbers)}"
        self.expected[f"chat {name}"] = around
        llm_called.emit(model=name, status="success", duration=0.0)

    def do(self, work: Work, around: str | None = None) -> None:
        """Do some work, one thing after the other."""
        if work.kind == "call":
            self.call(around)
            return
        name, block = self.begin(work, around)
        with block:
            for each in work.inside:
                self.do(each, name)

    async def do_at_once(self, work: Work, around: str | None = None) -> None:
        """Do some work, all that is inside of one thing at once."""
        await asyncio.sleep(0)
        if work.kind == "call":
            self.call(around)
            return
        name, block = self.begin(work, around)
        with block:
            await asyncio.gather(*(self.do_at_once(each, name) for each in work.inside))

    def check(self) -> None:
        """Check that all is as expected."""
        assert self.provider.tree() == self.expected
        assert len(self.provider.ended) == len(self.provider.spans)


@given(works)
def test_one_after_the_other(work: Work) -> None:
    doing = Doing()
    with trace_events(doing.provider) as tracing:
        doing.do(work)
        assert tracing.open_spans == 0
    doing.check()


@given(works)
def test_at_once(work: Work) -> None:
    doing = Doing()
    with trace_events(doing.provider):
        asyncio.run(doing.do_at_once(work))
    doing.check()


def test_in_many_threads_with_room_for_a_few() -> None:
    """What is dropped harms nothing, and what ends after all is there."""
    provider = RecordedSpans()
    numbers: Iterator[int] = count()

    def work() -> None:
        for _ in range(200):
            with agent_run(agent_name=f"{next(numbers)}"):
                llm_called.emit(model="m", status="success", duration=0.0)

    with trace_events(provider, max_open=3) as tracing, ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(propagate_scope(work)) for _ in range(8)]:
            done.result()
        assert tracing.open_spans <= 3
    ended = [span.name for span in provider.ended]
    assert ended.count("chat m") == 1600
    assert {name for name in ended if name != "chat m"} == {f"invoke_agent {number}" for number in range(1600)}
