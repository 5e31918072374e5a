"""Where an agent's time goes: every moment of it is one phase's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Literal

Phase = Literal["llm", "tool"]

FIRST: tuple[Phase, ...] = ("llm", "tool")
"""Whose a moment is when both go on: tools that a model called run between its calls, so few are both."""


class PhaseTimer:
    """A clock that always runs for one phase: what is open, or the agent itself.

    Sums of durations would count parallel calls twice. Each stretch between two changes is counted once instead, so
    that the phases add up to the whole.
    """

    def __init__(self) -> None:
        self._open: dict[Phase, int] = dict.fromkeys(FIRST, 0)
        self._spent: dict[Phase, float] = dict.fromkeys(FIRST, 0.0)
        self._changed = perf_counter()

    @contextmanager
    def of(self, phase: Phase) -> Iterator[None]:
        """Count the time of a block to a phase."""
        self._change(phase, 1)
        try:
            yield
        finally:
            self._change(phase, -1)

    def seconds(self, phase: Phase) -> float:
        """Tell how long a phase went on so far."""
        self._change(phase, 0)
        return self._spent[phase]

    def _change(self, phase: Phase, step: int) -> None:
        now = perf_counter()
        for running in FIRST:
            if self._open[running]:
                self._spent[running] += now - self._changed
                break
        self._changed = now
        self._open[phase] += step
