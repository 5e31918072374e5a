"""``python -m tests.support.studio_with_bad_listeners``: the studio with listeners that do what none should."""

from __future__ import annotations

import runpy
from dataclasses import dataclass
from threading import Event

from blinker import Namespace

from events import Label, LLMCalled, Signal, background, llm_called

ROOM = 10
"""Events that may wait for the listeners that never return."""
FLOOD = 100
"""Events that the listener that floods emits for each that it gets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FloodEmitted:
    """One event of many."""

    source: Label


flood_emitted = Signal(FloodEmitted, namespace=Namespace())  # tests that import this have no signal of it


def raises(_event: LLMCalled) -> None:
    """Raise an error that quotes what it got."""
    raise ValueError("canary")


def never_returns(_event: object) -> None:
    """Wait for what never comes."""
    Event().wait()


def floods(_event: LLMCalled) -> None:
    """Emit many events for one."""
    for _ in range(FLOOD):
        flood_emitted.emit(source="flood")


if __name__ == "__main__":
    llm_called.connect(raises)
    llm_called.connect(background(never_returns, size=ROOM, drain=0))
    llm_called.connect(floods)
    flood_emitted.connect(background(never_returns, size=ROOM, drain=0))
    runpy.run_module("app", run_name="__main__", alter_sys=True)
