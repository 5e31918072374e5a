"""The phases of a request: where its time went, by the events of databases, models and tools inside."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any

from .agent_phases import AgentPhases, sensible_seconds


class RequestPhases(AgentPhases):
    """The phases of one request: each moment belongs to one, so that they add up to the duration.

    They are those of an agent, see `AgentPhases`, after ``database``: a moment is the database's where a statement was
    executed or its rows were fetched, where a connection was waited for or a COMMIT was under way, whatever else was
    under way beside it, such as the tool that asked. An engine whose events have ``own`` unset is no part of it.
    """

    phases = ("database", *AgentPhases.phases)
    kinds = ("database", *AgentPhases.kinds)
    signals = AgentPhases.signals | {"query_executed", "connection_acquired", "transaction_ended"}
    fields = AgentPhases.fields | {"database_time"}

    def add(self, signal: str, values: Mapping[str, Any]) -> None:
        """Add the time of what ended just now."""
        if signal in AgentPhases.signals:
            super().add(signal, values)
            return
        if not values.get("own", True):
            return
        now = perf_counter()
        seconds = values.get("commit" if signal == "transaction_ended" else "duration")
        self.timeline.add("database", now - sensible_seconds(seconds), now)


EMITTED_SIGNALS = RequestPhases.signals - {"query_executed"}
"""The signals whose events a request takes as they are emitted. Statements come from their bridge: with fetching."""
