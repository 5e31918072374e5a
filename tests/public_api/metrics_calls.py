# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""How `metrics` is called, right and wrong, for type checkers alone: it never runs.

Each ignore stands for one error that has to be seen; where it is no longer seen, the ignore itself is the error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_type

from prometheus_client import CollectorRegistry

from events import agent_finished, agent_run, http_activity_read, llm_called
from metrics import (
    CATALOGUE,
    Endpoint,
    InstrumentedApplication,
    Metric,
    ScrapeResponse,
    Subscription,
    counter,
    gauge,
    histogram,
    in_flight,
    instrument,
    render,
    scrape,
    subscribe,
)

CALLS = counter("llm_calls_total", "Calls.", llm_called, labels=("model", "status"))
TOKENS = counter("llm_prompt_tokens_total", "Tokens.", llm_called, value="prompt_tokens")
SECONDS = histogram("llm_call_duration_seconds", "Time.", llm_called, value="duration", buckets=[0.1, 1.0, 10.0])
REQUESTS = gauge("http_requests", "Requests.", http_activity_read, value="requests", multiprocess_mode="livesum")
AGENTS = in_flight("agents", "Agents.", agent_run)


def declare_rows() -> None:
    assert_type(CALLS, Metric)
    counter("calls_total", "Calls.")  # type: ignore[call-arg]  # missing
    counter("calls_total", "Calls.", llm_called, label=("model",))  # type: ignore[call-arg]  # misspelt
    counter("calls_total", "Calls.", llm_called, labels="model")  # type: ignore[arg-type]  # a name for several
    gauge("up", "Up.", llm_called, value="attempts", multiprocess_mode="sum")  # type: ignore[arg-type]  # no such mode
    counter("calls_total", "Calls.", "llm_called")  # type: ignore[arg-type]  # a name for a signal
    histogram("seconds", "Time.", llm_called, value="duration")  # type: ignore[call-arg]  # no buckets
    histogram("seconds", "Time.", llm_called, value="duration", buckets=0.1)  # type: ignore[arg-type]  # one number
    histogram("seconds", "Time.", llm_called, "duration", buckets=[1.0])  # type: ignore[call-arg]  # not named
    gauge("requests", "Requests.", http_activity_read)  # type: ignore[call-arg]  # no value
    in_flight("agents", "Agents.", agent_finished)  # type: ignore[arg-type]  # a signal for a span


def subscribe_rows(registry: CollectorRegistry) -> None:
    with subscribe(CATALOGUE, registry, namespace="acme") as subscription:
        assert_type(subscription, Subscription)
        assert_type(subscription.poll(lambda: None), Callable[[], None])
        subscription.initialize(model=["m"])
        subscription.initialize(model=1)  # type: ignore[arg-type]  # a number for values
    subscribe([CALLS, AGENTS], registry, namespace="acme", label_limits={"model": 5}, label_values={"model": ["m"]})
    subscribe(("http", "llm", CALLS), registry, namespace="acme", shared_labels=["model"])
    subscribe("http", registry, namespace="acme")
    subscribe([CALLS], registry)  # type: ignore[call-arg]  # no namespace
    subscribe([CALLS], registry, "acme")  # type: ignore[call-arg]  # not named
    subscribe([llm_called], registry, namespace="acme")  # type: ignore[list-item]  # a signal for a row
    subscribe([CALLS], registry, namespace="acme", label_limits={"model": "5"})  # type: ignore[dict-item]  # text


def serve(registry: CollectorRegistry) -> None:
    assert_type(render(registry), bytes)
    assert_type(scrape(registry, accept="text/plain"), ScrapeResponse)
    Endpoint(registry, path="/metrics", token="t")
    Endpoint(registry, "/metrics")  # type: ignore[call-arg]  # not named
    Endpoint(registry, tokne="t")  # type: ignore[call-arg]  # misspelt
    Endpoint("/metrics")  # type: ignore[arg-type]  # a path for a registry
    render("up")  # type: ignore[arg-type]  # a name for a registry


def set_up_an_application(app: object, engine: object, client: object) -> None:
    with instrument(app, namespace="acme", engine=engine, clients=[client], rows=[CALLS, "agents"]) as handle:
        assert_type(handle, InstrumentedApplication)
        assert_type(handle.subscription, Subscription)
        assert_type(handle.endpoint, Endpoint)
    instrument(app, namespace="acme", engine={"main": engine}, folder="/run/acme", path=None).close()
    instrument(app)  # type: ignore[call-arg]  # no namespace
    instrument(app, "acme")  # type: ignore[call-arg]  # not named
    instrument(app, namespace="acme", rows=[client])  # type: ignore[list-item]  # neither a row nor a name
    instrument(app, namespace="acme", clients=3)  # type: ignore[arg-type]  # not several
