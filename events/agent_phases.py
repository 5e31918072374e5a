"""The phases of an agent's execution: where its time went, by the events of its models and tools."""

from __future__ import annotations

from collections.abc import Mapping
from math import fsum
from time import perf_counter
from typing import Any, ClassVar

from .bus.aggregation import Aggregator
from .bus.amount_limits import drop_reason
from .bus.fields import Measure
from .bus.intervals import Timeline

_MAX_SECONDS = Measure("seconds").max_amount
_MAX_CALLS = 1024  # calls under way at once of which attempts are remembered


class AgentPhases(Aggregator):
    """The phases of one execution of an agent: each moment belongs to one, so that they add up to the duration.

    A moment is the models' where an attempt at a call was under way, else the tools' where a tool ran, else ``backoff``
    where a call was under way whose ``backoff`` is not 0, and otherwise the agent's own; so is the ``queue_wait``
    before an attempt. Events are emitted as what they tell of ends: one that took two seconds stands for the two
    seconds before it. A call without ``backoff`` and ``queue_wait`` is all the models'; one without attempts of its
    ``call_id`` is one attempt after these. A duration that is no sensible number counts for nothing, and what runs on
    after the agent ended is not known.
    """

    phases: ClassVar[tuple[str, ...]] = ("llm", "tool", "backoff")
    """The phases of which times are returned, beside the agent's own."""

    kinds: ClassVar[tuple[str, ...]] = ("llm", "tool", "queue", "backoff")
    """The kinds of work by precedence; queues and the rest are the agent's own time."""

    signals = frozenset({"llm_attempted", "llm_called", "tool_called"})
    fields = frozenset({"llm_time", "tool_time", "backoff_time", "self_time"})

    def __init__(self, started: float) -> None:
        self._started = started
        self.timeline = Timeline(self.kinds, started)
        self._attempted_calls: dict[str, bool] = {}  # True by the id of the call, the oldest first

    def add(self, signal: str, values: Mapping[str, Any]) -> None:
        """Add the time of an attempt, a call or a tool that ended just now."""
        now = perf_counter()
        begin = now - sensible_seconds(values.get("duration"))
        waited = values.get("queue_wait")
        queue_wait = 0.0 if waited is None else sensible_seconds(waited)
        if signal == "tool_called":
            self.timeline.add("tool", begin, now)
            return
        call_id = values.get("call_id", "")
        if signal == "llm_attempted":
            self.timeline.add("llm", begin, now)
            self.timeline.add("queue", begin - queue_wait, begin)
            self._attempted_calls[call_id] = True
            if len(self._attempted_calls) > _MAX_CALLS:
                del self._attempted_calls[next(iter(self._attempted_calls))]
            return
        backoff = values.get("backoff")
        was_attempted = self._attempted_calls.pop(call_id, False)
        if backoff is None and not queue_wait and not was_attempted:  # as for a client that is not looked into
            self.timeline.add("llm", begin, now)
            return
        begin -= queue_wait
        if backoff != 0:
            self.timeline.add("backoff", begin, now)
        if not was_attempted:
            self.timeline.add("queue", begin, begin + queue_wait)
        if (backoff == 0 and not queue_wait) or not was_attempted:  # of one that is None, the attempts tell
            self.timeline.add("llm", begin + queue_wait + sensible_seconds(backoff), now)

    def result(self, ended: float) -> dict[str, float]:
        """Return the time of each phase, and of the rest; their sum is the duration."""
        seconds = self.timeline.seconds(ended)
        own = max(0.0, ended - self._started - fsum(seconds[phase] for phase in self.phases))
        return {**{f"{phase}_time": seconds[phase] for phase in self.phases}, "self_time": own}


def sensible_seconds(amount: Any) -> float:
    """Return a duration in seconds, 0.0 where it is unknown or cannot be right."""
    if isinstance(amount, float) and 0.0 <= amount < _MAX_SECONDS:
        return amount
    return 0.0 if amount is None or drop_reason(amount, limit=_MAX_SECONDS) else float(amount)
