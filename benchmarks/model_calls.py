"""The processor time that instrumenting the client of an SDK adds to a call, on a transport that answers at once."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from time import thread_time
from typing import Any

import httpx2
from openai import OpenAI
from prometheus_client import CollectorRegistry

from events import llm_attempted, llm_call_started, llm_called
from events.bridges.openai import instrument
from metrics import CATALOGUE, subscribe

from .measurement import Claim, Runs

MODEL = "gpt-4o-mini"
USAGE = {
    "prompt_tokens": 1200,
    "completion_tokens": 85,
    "total_tokens": 1285,
    "prompt_tokens_details": {"cached_tokens": 1024},
    "completion_tokens_details": {"reasoning_tokens": 0},
}
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": MODEL,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": USAGE,
}
PROMPT: Any = [{"role": "user", "content": "Say something."}]
NUMBER = 50


def measure(short: bool) -> list[Claim]:
    """Call a bare client and an instrumented one in turns, with ever more of what becomes of the events."""
    rounds = 15 if short else 60
    idle = in_turns(client(), instrumented(), rounds)
    with connected():
        told = in_turns(client(), instrumented(), rounds)
    with subscribe(CATALOGUE, CollectorRegistry(), namespace="sparklio"):
        counted = in_turns(client(), instrumented(price=fixed), rounds)
    return [
        added("that nobody listens to", 10, idle),
        added("with one listener connected to each event", 60, told),
        added("that is priced and counted in all metrics", 100, counted),
    ]


@contextmanager
def connected() -> Iterator[None]:
    """Connect a listener that does nothing to each event of a call."""

    def ignore(_: object) -> None:
        """Do nothing."""

    signals: list[Any] = [llm_call_started, llm_attempted, llm_called]
    for signal in signals:
        signal.connect(ignore)
    yield
    for signal in signals:
        signal.disconnect(ignore)


def in_turns(bare: OpenAI, ours: OpenAI, rounds: int) -> Runs:
    """Return the microseconds that a call takes with each client: of each round the best, as others only add time.

    The clients call in turns: many calls of one in a row would find all of its code in the processor's caches.
    """
    runs: Runs = {"bare": [], "instrumented": []}
    for _ in range(rounds):
        gc.collect()
        taken: Runs = {name: [] for name in runs}
        for _ in range(NUMBER):
            for name, caller in (("bare", bare), ("instrumented", ours)):
                began = thread_time()
                caller.chat.completions.create(model=MODEL, messages=PROMPT)
                taken[name].append(thread_time() - began)
        for name, seconds in taken.items():
            runs[name].append(min(seconds) * 1e6)
    return runs


def fixed(_provider: str, _model: str, _usage: Any) -> float:
    """Return a price, as a function of an application's own does."""
    return 0.0001542


def client() -> OpenAI:
    """Return a client whose requests are answered in the process."""
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json=ANSWER))
    return OpenAI(api_key="none", http_client=httpx2.Client(transport=transport))


def instrumented(price: Any = None) -> OpenAI:
    """Return such a client that emits the events of its calls."""
    return instrument(client(), price=price).client


def added(what: str, bar: float, runs: Runs) -> Claim:
    """Return what a call takes longer than that of the bare client in the same round, in microseconds."""
    bare, ours = runs.values()
    return Claim(
        what=f"one call of an instrumented client of openai {what}, beyond one of the bare client",
        bar=bar,
        better="lower",
        unit="microseconds",
        ours=[with_events - without for with_events, without in zip(ours, bare, strict=True)],
        runs={f"{name}, microseconds": taken for name, taken in runs.items()},
    )
