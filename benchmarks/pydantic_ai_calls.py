"""The processor time that instrumenting a model of pydantic-ai adds to a call, on a server of the loopback interface.

Beside it: pydantic-ai's own instrumentation, which is what logfire has of it, and OpenTelemetry's of the SDK of OpenAI,
each with its spans recorded and exported to nobody, and its metrics in a registry of Prometheus.
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from time import thread_time
from typing import Any

from prometheus_client import CollectorRegistry
from pydantic_ai.messages import ModelMessage, ModelRequest
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.instrumented import InstrumentationSettings, InstrumentedModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from events.bridges.pydantic_ai import instrument
from metrics import CATALOGUE, subscribe

from .measurement import Claim, Runs
from .model_calls import MODEL, connected

PROMPT: list[ModelMessage] = [ModelRequest.user_text_prompt("Say something.")]
PARAMETERS = ModelRequestParameters()
NUMBER = 30

OURS = "events.bridges.pydantic_ai"
OF_PYDANTIC_AI = "pydantic-ai's own, as logfire has it"
OF_OPENTELEMETRY = "opentelemetry-instrumentation-genai-openai"


def measure(short: bool) -> list[Claim]:
    """Ask a bare model and instrumented ones in turns, with ever more of what becomes of the events."""
    rounds = 5 if short else 20
    with served() as url:
        idle = asyncio.run(in_turns({OURS: instrument(model(url))}, url, rounds))
        with connected():
            heard = asyncio.run(in_turns({OURS: instrument(model(url), price=None)}, url, rounds))
        with subscribe(CATALOGUE, CollectorRegistry(), namespace="sparklio"):
            asked = {OURS: instrument(model(url)), OF_PYDANTIC_AI: InstrumentedModel(model(url), settings())}
            counted = asyncio.run(in_turns({**asked, OF_OPENTELEMETRY: model(url)}, url, rounds))
    return [
        added("that nobody listens to", 8, idle),
        added("with one listener connected to each event", 68, heard),
        added("that is priced by the list and counted in all metrics", 68, counted),
    ]


@contextmanager
def served() -> Iterator[str]:
    """Yield the URL of a server in a process of its own."""
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.model_server"], stdout=subprocess.PIPE, text=True)
    port: Any = server.stdout
    try:
        yield f"http://127.0.0.1:{int(port.readline())}/v1"
    finally:
        server.terminate()
        server.wait()


def model(url: str) -> Model:
    """Return a model of that server, with a client of its own."""
    return OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=url, api_key="none"))


def providers() -> dict[str, Any]:
    """Return OpenTelemetry's providers of spans and of metrics, as an application has them."""
    reader = import_module("opentelemetry.exporter.prometheus").PrometheusMetricReader(registry=CollectorRegistry())
    return {
        "tracer_provider": import_module("opentelemetry.sdk.trace").TracerProvider(),
        "meter_provider": import_module("opentelemetry.sdk.metrics").MeterProvider([reader]),
    }


def settings() -> InstrumentationSettings:
    """Return the settings of pydantic-ai's own instrumentation, without the content of messages, as ours is."""
    return InstrumentationSettings(**providers(), include_content=False)


async def in_turns(instrumented: dict[str, Model], url: str, rounds: int) -> Runs:
    """Return the microseconds that a call takes with each model: of each round the best, as others only add time.

    The models are asked in turns: many calls of one in a row would find all of its code in the processor's caches.
    OpenTelemetry's instrumentation of the SDK is of all clients in the process, and is there for its own turns alone.
    """
    models = {"bare": model(url), **instrumented}
    runs: Runs = {name: [] for name in models}
    openai: Any = import_module("opentelemetry.instrumentation.genai.openai").OpenAIInstrumentor()
    its_providers = providers()
    for each in models.values():
        await each.request(PROMPT, None, PARAMETERS)
    for _ in range(rounds):
        gc.collect()
        taken: Runs = {name: [] for name in models}
        for _ in range(NUMBER):
            for name, asked in models.items():
                if name == OF_OPENTELEMETRY:
                    openai.instrument(**its_providers)
                began = thread_time()  # the server is another process
                await asked.request(PROMPT, None, PARAMETERS)
                taken[name].append(thread_time() - began)
                if name == OF_OPENTELEMETRY:
                    openai.uninstrument()
        for name, seconds in taken.items():
            runs[name].append(min(seconds) * 1e6)
    return runs


def added(what: str, bar: float, runs: Runs) -> Claim:
    """Return what a call takes longer than that of the bare model in the same round, in microseconds."""
    beyond = {
        name: [a - b for a, b in zip(taken, runs["bare"], strict=True)]
        for name, taken in runs.items()
        if name != "bare"
    }
    return Claim(
        what=f"one call of an instrumented model of pydantic-ai {what}, beyond one of the bare model",
        bar=bar,
        better="lower",
        unit="microseconds",
        ours=beyond.pop(OURS),
        peers=beyond,
        runs={f"{name}, microseconds": taken for name, taken in runs.items()},
    )
