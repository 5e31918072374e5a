"""The events of runs: agents, tools and calls to models, by what LangChain tells its handlers.

Nothing here imports LangChain.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Collection, Mapping, Sequence
from time import perf_counter
from typing import Any
from uuid import UUID

from ...agents import agent_finished, agent_run, agent_started
from ...bus.failures import report_failure, strict_blocks
from ...bus.scope import get_current_scope, get_effective_scope
from ...retrieval import documents_retrieved
from ...tools import tool_called
from ..model_calls.claims import Claim, observers
from ..model_calls.cost import UsagePriceFunction
from ..model_calls.error_types import error_type_of
from ..model_calls.event_scope import in_scope
from ..model_calls.model_call import SIGNALS
from ..model_calls.names import label_of, truncate_name
from .agent_names import NAME_KEY, is_in_agent, is_node, name_of_agent, name_of_graph
from .chunk_sizes import size_of_chunk, size_of_event
from .model_runs import ModelStart, TextBatches, abandoned_call, add_content, begin_call, end_call
from .run_scope import enter_run_scope, is_inside, is_within, leave_run_scope
from .runs import BRIDGE, HANDS_OVER, WAITS, Kind, Run, RunTable
from .tool_runs import begin_lookup, begin_tool, data_source, end_lookup, end_tool

ALL_SIGNALS = (*SIGNALS, agent_started, agent_finished, tool_called, documents_retrieved)


def is_idle() -> bool:
    """Return whether nobody would get an event: no listener, no span around, and no strict block."""
    for signal in ALL_SIGNALS:  # a loop, as a generator takes twice the time
        if signal.receivers:
            return False
    return not strict_blocks and get_current_scope() is None


class RunTracker:
    """The runs under way, and the settings that their events are made with.

    Attributes:
        is_active: Whether runs that start have events; those that are under way have theirs to the end in any case.
        price: Asked for the cost of a call's tokens; None for no costs.
        agents: The names of the runs that are agents; None for each graph that was given one.
    """

    def __init__(self, price: UsagePriceFunction | None = None, agents: Collection[str] | None = None) -> None:
        self.is_active = True
        self.price = price
        self.agents = None if agents is None else frozenset(agents)
        self.runs = RunTable(self._end_lost)
        self._texts = TextBatches()
        self._detached: dict[Claim, str] = {}  # the models of calls in whose context their claims are not

    def start_chain(
        self,
        run_id: UUID,
        parent_id: UUID | None,
        name: Any,
        *,
        tags: Sequence[str] | None,
        metadata: Mapping[str, Any] | None,
    ) -> None:
        """Begin a run of anything that is no model, tool or retriever: a chain, a graph or a node of one."""
        if not self._follows(parent_id):
            return
        parent = self.runs.get(parent_id)
        node = is_node(tags)
        if node and parent is not None and self.agents is None:
            self._start_graph(parent)
        run = self._add("chain", run_id, parent, name, metadata)
        agent = name_of_agent(
            run.name,
            metadata or {},
            node=node,
            around=None if parent is None else parent.written_name,
            called_by_tool=parent is not None and parent.kind == "tool",
            outermost=parent is None,
            agents=self.agents,
        )
        if agent is not None:
            self._start_agent(run, agent)
        self._enter(run)

    def start_tool(self, run_id: UUID, parent_id: UUID | None, name: Any, metadata: Mapping[str, Any] | None) -> None:
        """Begin a run of a tool."""
        if not self._follows(parent_id):
            return
        run = self._add("tool", run_id, self.runs.get(parent_id), name, metadata)
        self._enter(run)
        begin_tool(run, metadata)

    def start_retriever(
        self, run_id: UUID, parent_id: UUID | None, name: Any, metadata: Mapping[str, Any] | None
    ) -> None:
        """Begin a run of a retriever."""
        if not self._follows(parent_id):
            return
        run = self._add("retriever", run_id, self.runs.get(parent_id), data_source(name, metadata), metadata)
        self._enter(run)
        begin_lookup(run)

    def find_claim(self, model: str) -> Claim | None:
        """Return the claim of a call to a model that starts here, although its context does not say so."""
        for claim, asked in list(self._detached.items()):
            if asked == model and not claim.is_taken:
                return claim
        return None

    def note_call(self, claim: Claim, model: str) -> None:
        """Take note of a call that another bridge tells: it is none of these."""

    def start_model(self, run_id: UUID, parent_id: UUID | None, start: ModelStart) -> None:
        """Begin a run of a model."""
        if not self._follows(parent_id):
            return
        is_part = self._texts.includes(start)
        abandoned = None if is_part else abandoned_call()
        if abandoned is not None:
            self.runs.lose(abandoned)
        run = self._add("model", run_id, self.runs.get(parent_id), "", start.metadata)
        self._enter(run)
        if is_part:
            return
        begin_call(run, start, self.price)
        if not start.is_detached:
            self.runs.watch(run)
        elif run.call is not None:
            self._detached[run.call.claim] = run.call.model
            observers.add(self)

    def add_chunk(self, run_id: UUID, token: Any, chunk: Any) -> None:
        """Take a chunk of a stream."""
        run = self.runs.get(run_id)
        if run is not None:
            run.counts_chunks = True
            add_content(run, *size_of_chunk(token, chunk))

    def add_event(self, run_id: UUID, event: Any) -> None:
        """Take an event of a stream, of which there may be chunks as well."""
        run = self.runs.get(run_id)
        if run is not None and not run.counts_chunks:
            add_content(run, *size_of_event(event))

    def end(self, run_id: UUID, result: Any, error: BaseException | None) -> None:
        """End a run, with its result or an error; a model also has the answer so far beside its error."""
        run = self.runs.pop(run_id)
        if run is None:
            return
        if error is not None and run.children:
            for child in self.runs.pop_unwound(run):
                self._end(child, None, CancelledError())
        self._end(run, result, error)

    def _follows(self, parent_id: UUID | None) -> bool:
        """Return whether a run that starts has events: one inside of a run that is under way has, active or not."""
        return (self.is_active or self.runs.get(parent_id) is not None) and not is_idle()

    def _add(self, kind: Kind, run_id: UUID, parent: Run | None, name: Any, metadata: Mapping[str, Any] | None) -> Run:
        """Return a run that starts, in the table."""
        run = Run(run_id.int, kind, truncate_name(name), parent, perf_counter())
        written = (metadata or {}).get(NAME_KEY)
        run.written_name = written if isinstance(written, str) else None
        run.scope = get_effective_scope()
        if parent is not None and parent.inside is not None:
            run.inside = parent.inside
            if not is_within(run.scope, parent.inside):  # its thread was not given the context
                run.scope = parent.inside
        self.runs.add(run_id, run)
        return run

    def _start_graph(self, run: Run) -> None:
        """Begin the agent that a run is, which turns out to be a graph since it has a node, if it has a name."""
        agent = name_of_graph(run.name)
        if run.span is None and agent is not None and run.kind == "chain":
            self._start_agent(run, agent)
            if run.entered is not None and run.inside is not None:
                run.entered.inside = run.inside

    def _start_agent(self, run: Run, name: str) -> None:
        """Begin the agent that a run is, unless it is the one around it, by the same name."""
        if is_in_agent(run.scope, name) and not is_called_by_tool(run):
            return
        run.span = agent_run(agent_name=label_of(name))
        with in_scope(run.scope):
            run.span.start()
        with run.span.step():
            run.inside = get_current_scope()

    def _enter(self, run: Run) -> None:
        """Have the code of a run be inside its agent, unless it is by its context."""
        if run.inside is not None and not is_inside(run.inside):
            run.entered = enter_run_scope(run.inside)

    def _end(self, run: Run, result: Any, error: BaseException | None) -> None:
        if run.entered is not None:
            leave_run_scope(run.entered)
        if run.kind == "model":
            if run.call is not None:
                self._detached.pop(run.call.claim, None)
            end_call(run, result, error)
        elif run.kind == "tool":
            end_tool(run, result, error)
        elif run.kind == "retriever":
            end_lookup(run, result, error)
        elif run.span is not None:
            self._end_agent(run, error)

    def _end_agent(self, run: Run, error: BaseException | None) -> None:
        if type(error).__name__ in WAITS | HANDS_OVER:
            error = None
        with in_scope(run.scope):
            if run.span is not None:
                if isinstance(error, Exception):
                    run.span.note(error_type=error_type_of(error))
                run.span.end(error)

    def _end_lost(self, run: Run) -> None:
        """End a run that is over and was told no end: its code was cancelled."""
        try:
            self._end(run, None, CancelledError())
        except Exception as failure:
            report_failure(agent_finished.name, BRIDGE, failure)


def is_called_by_tool(run: Run) -> bool:
    """Return whether a tool is between a run and the agent around it."""
    around = run.parent
    while around is not None and around.span is None:
        if around.kind == "tool":
            return True
        around = around.parent
    return False
