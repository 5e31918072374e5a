"""Runs of agents, as their spans tell them: what is emitted inside inherits the agent's name and adds to its totals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import urandom
from typing import Any

from ...agent_phases import AgentPhases
from ...agents import agent_finished, agent_run, agent_started
from ...bus.scope import Scope, current_scope
from ...llm import llm_called
from ..model_calls.event_scope import in_scope, is_heard_in
from .observed_call import ObservedCall
from .open_spans import OpenSpan
from .span_outcomes import SpanOutcome

SUMMED = ("llm_calls", "tool_calls", "prompt_tokens", "completion_tokens", "cost")


class SpanScope(Scope):
    """The scope of a span, which is in effect in the context that the span began in, until the span ends.

    A span may end in another context than that, so nobody can restore the scope before: once ended, it is as if it had
    been.
    """

    __slots__ = ()

    def __init__(self, fields: dict[str, Any], parent: Scope | None) -> None:
        super().__init__(fields, parent, agent_run.sums, agent_run.kind)
        self.in_generator = True  # so that whoever looks for the scope in effect asks `effective`
        self.frame = self.owner = None

    def effective(self) -> Scope | None:
        """Return this scope, or once it has ended the one around it that is in effect."""
        if not self.ended:
            return self
        return None if self.parent is None else self.parent.effective()


class AgentRun:
    """The run of an agent whose span is open; emits `events.agent_started` when it is made.

    Args:
        name: The agent's name.
        around: The scope that the run is in, if any.
        started_at: The time of `time.perf_counter`.
    """

    def __init__(self, name: str, around: Scope | None, started_at: float) -> None:
        self.name = name
        self.started_at = started_at
        inherited = {} if around is None else {f: around.fields[f] for f in agent_run.inherited if f in around.fields}
        self._around = around
        self._fields = {**inherited, "agent_name": name, agent_run.key: urandom(16).hex()}
        self.scope = SpanScope(self._fields, around)
        self._missed: dict[str, float] = {}
        self._missed_nested: dict[str, float] = {}
        self.scope.aggregator_maker = self  # for the first event inside, or for the end that somebody listens to
        if is_heard_in(around, agent_started):
            with in_scope(around):
                agent_started.emit(**self._fields)

    def make_aggregator(self) -> AgentPhases:
        """Return what divides the time of the run."""
        return AgentPhases(self.started_at)

    def add_missed(self, amounts: Mapping[str, Any], *, nested: bool) -> None:
        """Add what a call used that was emitted outside of the run, since its library had left the context."""
        add(self._missed_nested if nested else self._missed, amounts)

    def end(self, outcome: SpanOutcome, duration: float, totals: dict[str, Any]) -> None:
        """Emit `events.agent_finished`, with the totals of what was emitted inside, and with those passed."""
        scope = self.scope
        scope.end()
        if current_scope.get() is scope:
            current_scope.set(None if scope.parent is None else scope.parent.effective())
        if not is_heard_in(self._around, agent_finished):
            scope.aggregator = scope.aggregator_maker = None
            return
        if scope.aggregator is None:
            scope.aggregator = self.make_aggregator()
        times = scope.take_aggregated(agent_finished.name, self.started_at + duration)
        sums: dict[str, Any] = dict(scope.totals)
        own = dict(scope.totals)
        add(own, self._missed)
        for amounts in (scope.nested_totals, self._missed, self._missed_nested):
            add(sums, amounts)
        sums |= {name: own.get(summed, 0) for name, summed in agent_run.own.items() if summed in sums}
        error = {} if outcome.error_type is None else {"error_type": outcome.error_type}
        with in_scope(self._around):
            agent_finished.emit(
                **{
                    **sums,
                    **times,
                    **totals,
                    **self._fields,
                    **error,
                    "status": outcome.status,
                    "duration": duration,
                    "error": outcome.error,
                }
            )


def emit_late_run(name: str, span: OpenSpan, outcome: SpanOutcome, started_at: float, duration: float) -> None:
    """Emit a run of an agent whose span said only at its end that it is one, with the totals of the spans inside.

    Agents around that are not known yet have its totals among theirs, as those of an agent inside.
    """
    totals, nested = span.totals or {}, span.nested_totals or {}
    own = {f"own_{field}": totals.get(field, 0) - nested.get(field, 0) for field in SUMMED[2:] if field in totals}
    AgentRun(name, span.scope, started_at).end(outcome, duration, {**totals, **own})
    for around in unknown_around(span):
        around.nested_totals = around.nested_totals or {}
        add(around.nested_totals, totals)


def add_to_unknown(span: OpenSpan, amounts: Mapping[str, Any]) -> None:
    """Add what a call or a tool used to the totals of the spans around that may turn out to be agents'."""
    for around in unknown_around(span):
        around.totals = around.totals or {}
        add(around.totals, amounts)


def add_missed(span: OpenSpan, call: ObservedCall) -> None:
    """Add what a call used to the agents around a span that is of it too, as far as it was not emitted inside them.

    The SDK's span may lie outside: the spans of a framework whose callbacks run in threads are not around it.
    """
    nested = False
    for around in span.around():
        if call.place is not None and call.place.is_inside(around):
            return
        if around.agent is None:
            if around.operation is None and not around.is_ended and not nested:
                around.totals = around.totals or {}
                add(around.totals, call.amounts)
        elif is_around(around.agent.scope, call.scope):
            return
        else:
            around.agent.add_missed(call.amounts, nested=nested)
            if not nested:
                around.agent.scope.aggregate(llm_called.name, {"call_id": call.call_id, "duration": call.duration})
            nested = True


def unknown_around(span: OpenSpan) -> Iterator[OpenSpan]:
    """Yield the spans around one that may be an agent's, up to the first that is known to be."""
    for around in span.around():
        if around.agent is not None:
            return
        if around.operation is None and not around.is_ended:
            yield around


def add(totals: dict[str, float], amounts: Mapping[str, Any]) -> None:
    """Add amounts to totals; one that is None adds nothing."""
    for field, amount in amounts.items():
        if amount is not None:
            totals[field] = totals.get(field, 0) + amount


def innermost(current: Scope | None, inherited: Scope | None) -> Scope | None:
    """Return which of two scopes a span is in: that of the running code, or that of the span around it.

    A library may start a span in a context in which the scope of the agent around it was lost.
    """
    if current is None or inherited is None or current is inherited:
        return current or inherited
    if is_around(inherited, current):
        return current
    if is_around(current, inherited):
        return inherited
    agent = nearest_agent(current)
    return inherited if agent is None or is_around(agent, inherited) else current


def is_around(outer: Scope, inner: Scope | None) -> bool:
    """Return whether a scope is another, or around it."""
    while inner is not None:
        if inner is outer:
            return True
        inner = inner.parent
    return False


def nearest_agent(scope: Scope | None) -> Scope | None:
    """Return the innermost scope of an agent's run that has not ended, from a scope outwards."""
    while scope is not None and (scope.kind != agent_run.kind or scope.ended):
        scope = scope.parent
    return scope
