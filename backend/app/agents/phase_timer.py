"""The phases of an agent's execution: how long it waited for models, and how long it ran tools."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Literal

Phase = Literal["llm", "tool"]

PRECEDENCE: tuple[Phase, ...] = ("llm", "tool")
"""The phase to which time belongs while both are open. That is rare: a model's tools run between its calls."""


class PhaseTimer:
    """A timer that counts every moment to one phase at most, so that the phases add up to the whole.

    A sum of durations would count parallel calls twice.
    """

    def __init__(self) -> None:
        self._open: dict[Phase, int] = dict.fromkeys(PRECEDENCE, 0)
        self._seconds: dict[Phase, float] = dict.fromkeys(PRECEDENCE, 0.0)
        self._changed_at = perf_counter()

    @contextmanager
    def measure(self, phase: Phase) -> Iterator[None]:
        """Count the time of a block to a phase."""
        self._change(phase, 1)
        try:
            yield
        finally:
            self._change(phase, -1)

    def seconds(self, phase: Phase) -> float:
        """Return the seconds that a phase has taken so far."""
        self._change(phase, 0)
        return self._seconds[phase]

    def _change(self, phase: Phase, step: int) -> None:
        now = perf_counter()
        for running in PRECEDENCE:
            if self._open[running]:
                self._seconds[running] += now - self._changed_at
                break
        self._changed_at = now
        self._open[phase] += step
