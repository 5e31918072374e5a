"""Latency of business code while listeners fail, never return and flood, to that without them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Event
from time import perf_counter

from prometheus_client import CollectorRegistry

from events import Label, LLMCalled, Signal, agent_run, background, llm_called
from metrics import CATALOGUE, subscribe

from .measurement import Claim, Runs, percentile, ratios

AGENTS = 20
"""Agents that work at the same time."""
ANSWER = 0.1
"""Seconds that a model takes to answer."""
CALLS = 4
FLOOD = 50
"""Events that the listener that floods emits for each that it gets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FloodEmitted:
    """One event of many."""

    source: Label


flood_emitted = Signal(FloodEmitted)


def measure(short: bool) -> list[Claim]:
    """Measure the executions of agents with and without the listeners, in turn."""
    times: Runs = {"with them": [], "without": []}
    with subscribe(CATALOGUE, CollectorRegistry(), namespace="bench"):
        for _ in range(3 if short else 10):
            for name in times:
                with bad_listeners() if name == "with them" else ExitStack():
                    times[name].append(1000 * percentile(asyncio.run(work(3 if short else 10)), 0.5))
    return [
        Claim(
            what="time of an agent's execution while listeners fail, never return and flood, to that without them, p50",
            bar=1.05,
            better="lower",
            unit="times",
            ours=ratios(times["with them"], times["without"]),
            runs={f"{name}, ms": values for name, values in times.items()},
            note=f"{AGENTS} agents at once, each asks a model {CALLS} times that answers after {1000 * ANSWER:g} ms",
        )
    ]


async def work(rounds: int) -> list[float]:
    """Have all agents work at the same time, again and again, and return the seconds that each execution took."""
    taken: list[float] = []

    async def execute() -> None:
        began = perf_counter()
        with agent_run(agent_name="writer"):
            for _ in range(CALLS):
                await asyncio.sleep(ANSWER)
                llm_called.emit(model="m", status="success", duration=ANSWER, prompt_tokens=100, completion_tokens=20)
        taken.append(perf_counter() - began)

    for _ in range(rounds):
        await asyncio.gather(*(execute() for _ in range(AGENTS)))
    return taken


@contextmanager
def bad_listeners() -> Iterator[None]:
    """Connect one that raises, one that never returns and one that floods, the slow ones behind `background`."""
    over = Event()

    def fail(_: LLMCalled) -> None:
        raise ValueError("it always fails")

    def sleep(_: object) -> None:
        over.wait()

    def flood(_: LLMCalled) -> None:
        for _number in range(FLOOD):
            flood_emitted.emit(source="flood")

    with ExitStack() as connected:
        connected.callback(over.set)
        sleeping: list[Callable[[object], None]] = [background(sleep, size=100, drain=0) for _ in range(2)]
        connected.enter_context(llm_called.connected_to(fail))
        connected.enter_context(llm_called.connected_to(sleeping[0]))
        connected.enter_context(flood_emitted.connected_to(sleeping[1]))
        connected.enter_context(llm_called.connected_to(background(flood, size=100, drain=0)))
        yield
