"""Aggregators: they compute fields of a span's finished event from the events emitted inside, where no sum does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar


class Aggregator(ABC):
    """A computation of fields of a span's finished event from the events emitted inside, its nested spans' too.

    Declare a class with the ``signals`` it takes and the ``fields`` it returns, and pass it to `Span`. An instance is
    made for each span that starts; the methods are called under a lock, in the thread that emits or ends the span. One
    that raises is reported, as is a receiver, and the span's event goes without.

    >>> from events import Aggregator
    >>> class SlowestTool(Aggregator):
    ...     signals = frozenset({"tool_called"})
    ...     fields = frozenset({"slowest_tool"})
    ...     def __init__(self, started):
    ...         self.durations = {}
    ...     def add(self, signal, values):
    ...         self.durations[values["tool_name"]] = values["duration"]
    ...     def result(self, ended):
    ...         return {"slowest_tool": max(self.durations, key=self.durations.get, default=None)}

    Args:
        started: When the span started, by `time.perf_counter`.
    """

    signals: ClassVar[frozenset[str]]
    """The names of the signals whose events it takes."""

    fields: ClassVar[frozenset[str]]
    """The names of the fields that it returns; one that is set or noted wins, and these win over totals."""

    @abstractmethod
    def __init__(self, started: float) -> None: ...

    @abstractmethod
    def add(self, signal: str, values: Mapping[str, Any]) -> None:
        """Take an event that is emitted just now: its signal's name, and the fields that were set.

        The values are as emitted, not checked: decide by `amount_limits.drop_reason` which amounts are sensible.
        """

    @abstractmethod
    def result(self, ended: float) -> Mapping[str, Any]:
        """Return the fields of the finished event; the span ended just now, at ``ended`` by `time.perf_counter`."""
