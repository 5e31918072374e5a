"""The cost of emitting an event: without receivers, and with the catalogue subscribed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import cycle
from time import time
from typing import Any

import blinker
from prometheus_client import CollectorRegistry

from events import LLMCalled, Signal, ToolCalled, http_request_finished, llm_called, query_executed, tool_called
from metrics import CATALOGUE, LABEL_LIMITS, subscribe

from .measurement import Claim, alternately, ratios

MODEL = "gpt-4o-mini"
CALL: dict[str, Any] = {
    "model": MODEL,
    "requested_model": MODEL,
    "provider": "openai",
    "status": "success",
    "duration": 1.25,
    "usage_source": "provider",
    "prompt_tokens": 1200,
    "completion_tokens": 85,
    "cache_read_tokens": 1024,
    "cost": 0.0001542,
    "cost_source": "price_table",
    "input_cost": 0.0000264,
    "output_cost": 0.000051,
    "cache_read_cost": 0.0000768,
    "cache_write_cost": 0.0,
    "finish_reason": "stop",
}

QUERY: dict[str, Any] = {"operation": "select", "cache": "hit", "duration": 0.002, "rows": 3}
REQUEST: dict[str, Any] = {"method": "GET", "status_code": 200, "outcome": "ok", "duration": 0.02}
OPEN_LABELS: dict[str, tuple[Signal[..., Any], dict[str, Any]]] = {
    "table": (query_executed, QUERY),
    "endpoint": (http_request_finished, REQUEST),
    "model": (llm_called, {name: value for name, value in CALL.items() if name != "model"}),
    "tool_name": (tool_called, {"status": "success", "duration": 0.1}),
}
"""An event for each label whose values anybody may invent."""


def measure(short: bool) -> list[Claim]:
    """Emit the same event many times, in several ways."""
    rounds = 30 if short else 200
    past = [past_the_limit(label, signal, fields, rounds) for label, (signal, fields) in OPEN_LABELS.items()]
    return [without_receivers(rounds), with_catalogue(rounds), bound_beforehand(rounds), exponential(rounds), *past]


def without_receivers(rounds: int) -> Claim:
    """Compare ``emit`` with blinker's ``send``, both without receivers."""
    number = 2000
    emit = Signal(LLMCalled, blinker.Namespace()).emit
    send: Any = blinker.Signal().send

    def by_emit() -> None:
        for _ in range(number):
            emit(model=MODEL, status="success", duration=1.25, prompt_tokens=1200, completion_tokens=85)

    def by_send() -> None:
        for _ in range(number):
            send(None, model=MODEL, status="success", duration=1.25, prompt_tokens=1200, completion_tokens=85)

    runs = alternately({"emit": by_emit, "send": by_send}, rounds)
    return Claim(
        what="`emit` without receivers, to blinker's `send` with the same five fields",
        bar=0.7,
        better="lower",
        unit="times",
        ours=ratios(runs["emit"], runs["send"]),
        runs={f"{name}, ns": [run / number * 1e9 for run in taken] for name, taken in runs.items()},
    )


def with_catalogue(rounds: int) -> Claim:
    """Compare one ``llm_called`` with the same updates written by hand where the call is made."""
    number = 300
    subscribed, by_hand, for_blinker = CollectorRegistry(), CollectorRegistry(), CollectorRegistry()
    inline = inline_updates(by_hand)
    from_blinker: Any = blinker.Signal()
    update = inline_updates(for_blinker)
    from_blinker.connect(lambda _, **fields: update(fields), weak=False)
    with subscribe(CATALOGUE, subscribed, namespace="sparklio"):
        variants: dict[str, Callable[[], object]] = {
            "llm_called": lambda: llm_called.emit(**CALL),
            "inline": lambda: inline(CALL),
            "a blinker receiver": lambda: from_blinker.send(None, **CALL),
        }
        for variant in variants.values():
            variant()
        if nonzero_samples(subscribed) != nonzero_samples(by_hand):
            raise AssertionError("the two do not update the same series")
        runs = alternately({name: repeat(number, function) for name, function in variants.items()}, rounds)
    return Claim(
        what="one `llm_called` into its metrics, to the same updates inline with `labels(**kw)`",
        bar=0.5,
        better="lower",
        unit="times",
        ours=ratios(runs["llm_called"], runs["inline"]),
        peers={"a blinker receiver that does the same": ratios(runs["a blinker receiver"], runs["inline"])},
        runs={f"{name}, us": [run / number * 1e6 for run in taken] for name, taken in runs.items()},
    )


def bound_beforehand(rounds: int) -> Claim:
    """Compare one ``query_executed`` whose fields are bound beforehand, but for its amounts, with one emitted whole."""
    number = 300
    query: dict[str, Any] = {"operation": "select", "table": "runs", "cache": "hit"}
    emit = query_executed.bind("duration", "rows", **query)
    with subscribe(CATALOGUE, CollectorRegistry(), namespace="sparklio"):
        variants: dict[str, Callable[[], object]] = {
            "bind": lambda: emit((0.002, 3)),
            "emit": lambda: query_executed.emit(duration=0.002, rows=3, **query),
        }
        runs = alternately({name: repeat(number, function) for name, function in variants.items()}, rounds)
    return Claim(
        what="one `query_executed` into its metrics by `bind`, to by `emit`",
        bar=0.5,
        better="lower",
        unit="times",
        ours=ratios(runs["bind"], runs["emit"]),
        runs={f"{name}, us": [run / number * 1e6 for run in taken] for name, taken in runs.items()},
    )


def exponential(rounds: int) -> Claim:
    """Compare an observation that is counted in exponential buckets too with one in classic ones alone."""
    durations = [0.002 * 1.1**place for place in range(100)]
    row = next(row for row in CATALOGUE if row.name == "tool_call_duration_seconds")
    variants: dict[str, Callable[[], object]] = {}
    with ExitStack() as subscriptions:
        for name, native in (("classic", False), ("exponential too", True)):
            signal: Signal[..., Any] = Signal(ToolCalled, blinker.Namespace())
            rows = [replace(row, signal=signal)]
            subscriptions.enter_context(
                subscribe(rows, CollectorRegistry(), namespace="acme", native_histograms=native)
            )
            emit = signal.bind("duration", tool_name="search", mcp_server="none", status="success")
            variants[name] = partial(emit_each, emit, [(duration,) for duration in durations])
        runs = alternately(variants, rounds)
    return Claim(
        what="one observation in exponential buckets too, to one in classic ones alone, both by `bind`",
        bar=1.6,
        better="lower",
        unit="times",
        ours=ratios(runs["exponential too"], runs["classic"]),
        runs={f"{name}, ns": [run / len(durations) * 1e9 for run in taken] for name, taken in runs.items()},
    )


def emit_each(emit: Callable[[tuple[float]], object], values: Iterable[tuple[float]]) -> None:
    """Call a pre-bound emitter with each of these values."""
    for each in values:
        emit(each)


def past_the_limit(label: str, signal: Signal[..., Any], fields: dict[str, Any], rounds: int) -> Claim:
    """Compare events with ever new values of a label past its limit with events of values within it."""
    number, limit = 300, LABEL_LIMITS[label]
    within = [f"{label} {place}" for place in range(limit)]
    new = cycle([f"another {label} {place}" for place in range(10_000)])
    with subscribe(CATALOGUE, CollectorRegistry(), namespace="sparklio"):

        def by_known() -> None:
            for place in range(number):
                signal.emit(**fields, **{label: within[place % 3]})

        def by_new() -> None:
            for _ in range(number):
                signal.emit(**fields, **{label: next(new)})

        for value in within:
            signal.emit(**fields, **{label: value})
        by_new()
        runs = alternately({"within": by_known, "past": by_new}, rounds)
    return Claim(
        what=f"one `{signal.name}` with a `{label}` past the label's limit, each another, to one within it",
        bar=1.5,
        better="lower",
        unit="times",
        ours=ratios(runs["past"], runs["within"]),
        runs={f"{name}, us": [run / number * 1e6 for run in taken] for name, taken in runs.items()},
    )


def repeat(number: int, function: Callable[[], object]) -> Callable[[], None]:
    """Return a function that does something so often that a clock can measure it."""

    def run() -> None:
        for _ in range(number):
            function()

    return run


def inline_updates(registry: CollectorRegistry) -> Callable[[dict[str, Any]], None]:
    """Return a function that makes the updates of one successful call by hand, on metrics like the catalogue's."""
    subscription = subscribe(CATALOGUE, registry, namespace="sparklio")
    names = {row.name for row in CATALOGUE}
    m = {name: subscription.collector(name) for name in names}
    subscription.close()  # events do not update them any more
    for collector in m.values():
        registry.register(collector)
    requests, tokens, details = m["llm_requests_total"], m["llm_tokens_total"], m["llm_token_details_total"]
    duration, cost, reasons = (
        m["llm_request_duration_seconds"],
        m["llm_cost_usd_total"],
        m["llm_finish_reasons_total"],
    )
    sizes = m["llm_tokens_per_request"]
    kinds, agents = m["llm_cost_by_kind_usd_total"], m["llm_cost_by_agent_usd_total"]
    results = m["llm_cost_by_result_usd_total"]
    operations = m["llm_operations_total"]
    events, last = m["events_total"], m["last_event_timestamp_seconds"]

    def update(call: dict[str, Any]) -> None:
        model = call["model"]
        requests.labels(model=model, provider=call["provider"], status=call["status"]).inc()
        tokens.labels(model=model, token_type="prompt").inc(call["prompt_tokens"])  # noqa: S106  # no secret
        tokens.labels(model=model, token_type="completion").inc(call["completion_tokens"])  # noqa: S106  # no secret
        sizes.labels(model=model, token_type="prompt").observe(call["prompt_tokens"])  # noqa: S106  # no secret
        sizes.labels(model=model, token_type="completion").observe(call["completion_tokens"])  # noqa: S106  # no secret
        details.labels(model=model, detail="cache_read").inc(call["cache_read_tokens"])
        duration.labels(model=model).observe(call["duration"])
        cost.labels(model=model, source=call["cost_source"]).inc(call["cost"])
        for kind in ("input", "output", "cache_read", "cache_write"):
            kinds.labels(model=model, kind=kind).inc(call[f"{kind}_cost"])
        kinds.labels(model=model, kind="unsplit").inc(0.0)
        agents.labels(agent_name="unknown", model=model).inc(call["cost"])
        results.labels(model=model, result="success").inc(call["cost"])
        operations.labels(operation="chat", status=call["status"]).inc()
        reasons.labels(model=model, reason=call["finish_reason"]).inc()
        events.labels(signal="llm_called").inc()
        last.labels(signal="llm_called").set(time())

    return update


def nonzero_samples(registry: CollectorRegistry) -> dict[tuple[str, str], float]:
    """Return every sample that is not zero, without times."""
    return {
        (sample.name, str(sample.labels)): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.value and not sample.name.endswith(("_created", "_seconds"))
    }
