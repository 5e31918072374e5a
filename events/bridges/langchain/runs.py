"""A run of LangChain while it is under way, and the table of those that are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from sys import _getframe
from types import FrameType
from typing import Any, Literal
from uuid import UUID
from weakref import ref

from ...bus.scope import Scope, running_task
from ...bus.span import ActiveSpan
from ..model_calls.claims import Claim
from ..model_calls.document_retrieval import Lookup
from ..model_calls.model_call import ModelCall
from ..model_calls.tool_use import ToolUse
from .run_scope import RunScope

BRIDGE = "langchain"

Kind = Literal["chain", "tool", "model", "retriever"]

MAX_RUNS = 10_000
"""Runs under way that are remembered: of one more, the oldest ends as cancelled."""

WAITS = frozenset({"GraphInterrupt", "NodeInterrupt"})
HANDS_OVER = frozenset({"ParentCommand"})
"""What LangGraph raises to wait for somebody, and to go on in a node of the graph around: neither is a failure."""

MODELS = "langchain_core.language_models."
CALLERS = frozenset({"generate", "agenerate", "stream", "astream", "pump_one", "_produce"})


@dataclass(slots=True, eq=False)
class Run:
    """One run.

    Attributes:
        scope: The scope that its own events are emitted in; None outside of all.
        inside: The scope of the nearest agent, itself included; None where no agent is around.
        written_name: ``lc_agent_name`` in its metadata.
        span: The span of the agent that it is.
        task: The task that its code started in; None in a thread without an event loop.
    """

    key: int
    kind: Kind
    name: str
    parent: Run | None
    started_at: float
    scope: Scope | None = None
    inside: Scope | None = None
    written_name: str | None = None
    span: ActiveSpan | None = None
    entered: RunScope | None = None
    call: ModelCall | None = None
    claim_around: Claim | None = None
    tool_use: ToolUse | None = None
    lookup: Lookup | None = None
    counts_chunks: bool = False
    children: dict[int, Run] = field(default_factory=dict)
    thread: int = 0
    task: ref[Any] | None = None
    watched_by: int | None = None
    lost: ref[UUID] | None = None

    def has_unwound(self, task: Any) -> bool:
        """Return whether its code is certainly over, where a run around it in a task was left by an error."""
        if self.task is None:
            return False
        own = self.task()
        return own is None or own is task or bool(own.done())

    def is_abandoned(self) -> bool:
        """Return whether a call to a model, in whose context another one starts, is over although it was told no end.

        A model may ask another one. Where that is in the same task or thread, the code of both is under way here.
        """
        thread, task = running_task()
        own = None if self.task is None else self.task()
        if self.task is not None and task is not own:
            return own is None or bool(own.done())
        return thread == self.thread and models_under_way(_getframe(1)) < 2


class RunTable:
    """The runs under way by their ids.

    LangChain tells no end of an asynchronous call to a model that is cancelled. But it holds the id of a run for as
    long as its code runs: where nobody holds it any more, the run is over. So it is where its task has ended, as a
    tracer may hold the ids of runs that were told no end.

    Args:
        on_lost: Called with a run that is over and was told no end; must not raise.
    """

    def __init__(self, on_lost: Callable[[Run], None]) -> None:
        self._runs: dict[int, Run] = {}
        self._of_task: dict[int, dict[int, Run]] = {}  # calls to models, by the id of the task that they are made in
        self._on_lost = on_lost

    def __len__(self) -> int:
        return len(self._runs)

    def get(self, run_id: UUID | None) -> Run | None:
        """Return the run with an id; None of one that is not known."""
        return None if run_id is None else self._runs.get(run_id.int)

    def add(self, run_id: UUID, run: Run) -> None:
        """Add a run that starts."""
        key = run.key
        run.thread, task = running_task()
        run.task = None if task is None else ref(task)
        run.lost = ref(run_id, lambda _: self._lose(key))
        if run.parent is not None:
            run.parent.children[key] = run
        self._runs[key] = run
        if len(self._runs) > MAX_RUNS:
            self._lose(next(iter(self._runs)))

    def watch(self, run: Run) -> None:
        """End a run with the task that it starts in, if it has not ended before."""
        task = None if run.task is None else run.task()
        if task is None:
            return
        if id(task) not in self._of_task:
            self._of_task[id(task)] = {}
            task.add_done_callback(self._end_of_task)
        self._of_task[id(task)][run.key] = run
        run.watched_by = id(task)

    def pop(self, run_id: UUID) -> Run | None:
        """Remove a run that ends, and return it."""
        return self._remove(run_id.int)

    def lose(self, run: Run) -> None:
        """End a run that is over and was told no end."""
        self._lose(run.key)

    def pop_unwound(self, run: Run) -> list[Run]:
        """Remove and return the runs inside one that was left by an error, whose code is over; inner ones first."""
        task = None if run.task is None else run.task()
        unwound = []
        for key, child in list(run.children.items()):
            if child.has_unwound(task):
                unwound += [*self.pop_unwound(child), child]
                self._remove(key)
        return unwound

    def _end_of_task(self, task: Any) -> None:
        for run in list(self._of_task.pop(id(task), {}).values()):
            if run.call is None or not run.call.streamed:  # the rest of a stream may come in another task
                self._lose(run.key)

    def _lose(self, key: int) -> None:
        run = self._remove(key)
        if run is not None:
            self._on_lost(run)

    def _remove(self, key: int) -> Run | None:
        run = self._runs.pop(key, None)
        if run is not None:
            if run.parent is not None:
                run.parent.children.pop(key, None)
            if run.watched_by is not None:
                self._of_task.get(run.watched_by, {}).pop(key, None)
        return run


def models_under_way(frame: FrameType | None) -> int:
    """Return how many calls to models the running code is inside, by the functions of LangChain that make them."""
    count = 0
    while frame is not None:
        if frame.f_code.co_name in CALLERS and str(frame.f_globals.get("__name__")).startswith(MODELS):
            count += 1
        frame = frame.f_back
    return count
