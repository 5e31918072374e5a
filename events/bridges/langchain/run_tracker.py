"""The events of runs: agents, tools and calls to models, by what LangChain tells its handlers.

Nothing here imports LangChain.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter
from typing import Any
from uuid import UUID

from ...agents import agent_finished, agent_run, agent_started
from ...bus.failures import report_failure, strict_blocks
from ...bus.scope import Scope, get_current_scope, get_effective_scope, use_scope
from ...bus.span import outcome_of
from ...tools import tool_called
from ..model_calls.claims import Claim, current_claim
from ..model_calls.cost import UsagePriceFunction
from ..model_calls.error_types import error_type_of
from ..model_calls.model_call import SIGNALS, CallEnd, start_call
from ..model_calls.names import label_of, truncate_name
from ..model_calls.tool_use import ToolUse
from .agent_names import NAME_KEY, is_in_agent, is_node, name_of_agent, name_of_graph
from .chunk_sizes import size_of_chunk, size_of_event
from .model_answer import read_answer
from .model_names import model_name, provider_name
from .run_scope import enter_run_scope, is_within, leave_run_scope
from .runs import Kind, Run, RunTable

BRIDGE = "langchain"

ALL_SIGNALS = (*SIGNALS, agent_started, agent_finished, tool_called)

NO_ERRORS = frozenset({"GraphInterrupt", "NodeInterrupt", "ParentCommand"})
"""What LangGraph raises to wait for somebody, and to hand over to a node of the graph around."""

WAITS = frozenset({"GraphInterrupt", "NodeInterrupt"})


def is_idle() -> bool:
    """Return whether nobody would get an event: no listener, no span around, and no strict block."""
    return not any(signal.receivers for signal in ALL_SIGNALS) and not strict_blocks and get_current_scope() is None


class RunTracker:
    """The runs under way, and the settings that their events are made with.

    Args:
        price: Asked for the cost of a call's tokens; None for no costs.
        agents: The names of the runs that are agents; None for each graph that was given one.
    """

    def __init__(self, price: UsagePriceFunction | None, agents: Collection[str] | None) -> None:
        self.price = price
        self.agents = None if agents is None else frozenset(agents)
        self.runs = RunTable(self._end_lost)

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
        if is_idle():
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
        if is_idle():
            return
        run = self._add("tool", run_id, self.runs.get(parent_id), name, metadata)
        self._enter(run)
        run.tool_use = ToolUse(BRIDGE, run.name, mcp_server=server_of_tool(metadata), scope=run.scope)
        run.tool_use.enter()

    def start_retriever(self, run_id: UUID, parent_id: UUID | None, name: Any) -> None:
        """Begin a run of a retriever, which has no event of its own."""
        if not is_idle():
            self._enter(self._add("retriever", run_id, self.runs.get(parent_id), name, None))

    def start_model(
        self,
        run_id: UUID,
        parent_id: UUID | None,
        *,
        serialized: Mapping[str, Any] | None,
        metadata: Mapping[str, Any] | None,
        params: Mapping[str, Any] | None,
        batch_size: int = 1,
    ) -> None:
        """Begin a call to a model, which a bridge to what sends it may take over.

        Args:
            run_id: The id of the run.
            parent_id: That of the run around it.
            serialized: The model, as LangChain would store it.
            metadata: The run's metadata, which names the model and its provider.
            params: What the model is asked with.
            batch_size: How many calls are begun together, before any is sent.
        """
        if is_idle():
            return
        run = self._add("model", run_id, self.runs.get(parent_id), "", metadata)
        self._enter(run)
        around = current_claim.get()
        batch = batch_of(batch_size, around)
        if batch is None or batch.last is None:
            self._end_abandoned(around)
        if batch is not None:
            around = batch.around
            current_claim.set(around)
        run.claim_around = None if around is None or around.has_ended else around
        run.call = start_call(
            BRIDGE,
            model=model_name(metadata or {}, params or {}),
            provider=provider_name(metadata or {}, serialized),
            is_exact=False,
            price=self.price,
            started_at=run.started_at,
            scope=run.scope,
        )
        if run.call is not None:
            if batch is not None:
                run.call.claim.beside, batch.last = batch.last, run.call.claim
            current_claim.set(run.call.claim)
            _model_run.set(run)

    def add_chunk(self, run_id: UUID, token: Any, chunk: Any) -> None:
        """Take a chunk of a stream."""
        run = self.runs.get(run_id)
        if run is not None:
            run.counts_chunks = True
            self._add_content(run, *size_of_chunk(token, chunk))

    def add_event(self, run_id: UUID, event: Any) -> None:
        """Take an event of a stream, of which there may be chunks as well."""
        run = self.runs.get(run_id)
        if run is not None and not run.counts_chunks:
            self._add_content(run, *size_of_event(event))

    def end_model(self, run_id: UUID, response: Any, error: BaseException | None) -> None:
        """End a call to a model with its answer, or with an error and as much of the answer as came."""
        run = self.runs.pop(run_id)
        if run is not None:
            self._end_model(run, response, error)

    def end_tool(self, run_id: UUID, output: Any, error: BaseException | None) -> None:
        """End a run of a tool."""
        run = self.runs.pop(run_id)
        if run is not None:
            self._end_inside(run, error)
            self._end_tool(run, output, error)

    def end_chain(self, run_id: UUID, error: BaseException | None) -> None:
        """End a run of anything else."""
        run = self.runs.pop(run_id)
        if run is not None:
            self._end_inside(run, error)
            self._end_chain(run, error)

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
        if run.inside is not None and not is_within(get_effective_scope(), run.inside):
            run.entered = enter_run_scope(run.inside)

    def _leave(self, run: Run) -> None:
        if run.entered is not None:
            leave_run_scope(run.entered)

    def _add_content(self, run: Run, size: int, is_reasoning: bool) -> None:
        call = run.call
        if call is None:
            return
        call.streamed = True
        release_claim(run)  # what has a chunk was sent, and its reader may ask another model
        if size:
            call.token_times.add(perf_counter(), size, sees_arrival=True, is_reasoning=is_reasoning)

    def _end_model(self, run: Run, response: Any, error: BaseException | None) -> None:
        self._leave(run)
        call = run.call
        if call is None:
            return
        release_claim(run)
        try:
            answer = read_answer(response)
        except Exception as failure:
            report_failure(agent_finished.name, BRIDGE, failure)
            answer = read_answer(None)
        end = CallEnd() if error is None else CallEnd.of_error(error)
        if error is None and call.streamed and answer.is_cut_off:
            end = CallEnd(status="error", error_type="invalid_response")
        call.finish(
            CallEnd(
                status=end.status,
                error=end.error,
                error_type=end.error_type,
                response_model=answer.model,
                usage=answer.usage,
                cost=0.0 if answer.is_from_cache else None,
                finish_reason=answer.finish_reason if end.status != "cancelled" else None,
            )
        )

    def _end_tool(self, run: Run, output: Any, error: BaseException | None) -> None:
        self._leave(run)
        if run.tool_use is None:
            return
        if type(error).__name__ in WAITS:
            run.tool_use.drop()  # it is run again, from its beginning, when it is resumed
            return
        failed = error is None and getattr(output, "status", None) == "error"
        if type(error).__name__ in NO_ERRORS:
            error = None
        run.tool_use.finish("error" if failed else outcome_of(error), "" if error is None else type(error).__name__)

    def _end_chain(self, run: Run, error: BaseException | None) -> None:
        self._leave(run)
        if run.span is None:
            return
        if type(error).__name__ in NO_ERRORS:
            error = None
        if isinstance(error, Exception):
            run.span.note(error_type=error_type_of(error))
        with in_scope(run.scope):
            run.span.end(error)

    def _end_inside(self, run: Run, error: BaseException | None) -> None:
        """End the runs inside one that was left by an error, which are over and were told no end."""
        if error is not None and run.children:
            for child in self.runs.pop_unwound(run):
                self._end(child)

    def _end_abandoned(self, around: Claim | None) -> None:
        """End the call that the running code is inside by its context, where it is not."""
        run = _model_run.get()
        if run is None or run.call is None or run.call.claim is not around or run.call.has_ended:
            return
        if run.is_abandoned():
            self.runs.lose(run)

    def _end_lost(self, run: Run) -> None:
        """End a run that is over and was told no end: its code was cancelled."""
        try:
            self._end(run)
        except Exception as failure:
            report_failure(agent_finished.name, BRIDGE, failure)

    def _end(self, run: Run) -> None:
        if run.kind == "model":
            self._end_model(run, None, CancelledError())
        elif run.kind == "tool":
            self._end_tool(run, None, CancelledError())
        else:
            self._end_chain(run, CancelledError())


@dataclass(slots=True)
class Batch:
    """Calls that are begun together, before any is sent."""

    around: Claim | None
    left: int
    last: Claim | None = None


_model_run: ContextVar[Run | None] = ContextVar("events.bridges.langchain.model_run", default=None)
_batch: ContextVar[Batch | None] = ContextVar("events.bridges.langchain.batch", default=None)


def batch_of(size: int, around: Claim | None) -> Batch | None:
    """Return the batch that a call is of, the first one of which begins it; None of a call by itself."""
    if size <= 1:
        return None
    batch = _batch.get()
    if batch is None or batch.left == 0:
        batch = Batch(around, size)
        _batch.set(batch)
    batch.left -= 1
    return batch


def release_claim(run: Run) -> None:
    """Have the running code be outside of a call again, where it is inside."""
    if run.call is not None and current_claim.get() is run.call.claim:
        current_claim.set(run.claim_around)


def in_scope(scope: Scope | None) -> AbstractContextManager[None]:
    """Return a ``with`` block inside a scope; one that changes nothing where there is none."""
    return nullcontext() if scope is None else use_scope(scope)


def is_called_by_tool(run: Run) -> bool:
    """Return whether a tool is between a run and the agent around it."""
    around = run.parent
    while around is not None and around.span is None:
        if around.kind == "tool":
            return True
        around = around.parent
    return False


def server_of_tool(metadata: Mapping[str, Any] | None) -> str | None:
    """Return the name of the MCP server that a tool is on, as ``langchain.mcp`` writes it; None of any other tool."""
    mcp = (metadata or {}).get("mcp")
    server = mcp.get("server") if isinstance(mcp, Mapping) else None
    return truncate_name(server.get("name")) or None if isinstance(server, Mapping) else None
