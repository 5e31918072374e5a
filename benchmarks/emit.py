<<<<<<<< HEAD:benchmarks/emit.py
"""What emitting an event costs: without receivers, and with the catalogue subscribed."""
========
"""Cost of emitting an event, without receivers and into the catalogue."""
>>>>>>>> 5f2fbc1 (Call the benchmarks' modules and parts by the field's words):benchmarks/emission.py

from __future__ import annotations

from collections.abc import Callable
from time import time
from typing import Any

import blinker
from prometheus_client import CollectorRegistry

from events import LLMCalled, Signal, llm_called, query_executed
from metrics import CATALOGUE, subscribe

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
    "cost": 0.00023,
    "cost_source": "price_table",
    "finish_reason": "stop",
}


def measure(short: bool) -> list[Claim]:
<<<<<<<< HEAD:benchmarks/emit.py
    """Emit the same event many times, in several ways."""
    rounds = 30 if short else 200
    return [without_receivers(rounds), with_catalogue(rounds), bound_beforehand(rounds)]


def without_receivers(rounds: int) -> Claim:
    """Compare ``emit`` with blinker's ``send``, both without receivers."""
========
    """Compare `emit` without receivers, `emit` into the catalogue, and `bind`."""
    rounds = 30 if short else 200
    return [emit_without_receivers(rounds), emit_into_the_catalogue(rounds), bound_emitter(rounds)]


def emit_without_receivers(rounds: int) -> Claim:
    """Compare ``emit`` with blinker's ``send``, neither with a receiver."""
>>>>>>>> 5f2fbc1 (Call the benchmarks' modules and parts by the field's words):benchmarks/emission.py
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
        runs={f"{name}, ns": [run / number * 1e9 for run in seconds] for name, seconds in runs.items()},
    )


<<<<<<<< HEAD:benchmarks/emit.py
def with_catalogue(rounds: int) -> Claim:
    """Compare one ``llm_called`` with the same updates written by hand where the call is made."""
    number = 300
    subscribed, by_hand, for_blinker = CollectorRegistry(), CollectorRegistry(), CollectorRegistry()
    inline = inline_updates(by_hand)
    from_blinker: Any = blinker.Signal()
    update = inline_updates(for_blinker)
    from_blinker.connect(lambda _, **fields: update(fields), weak=False)
    with subscribe(CATALOGUE, subscribed, namespace="sparklio"):
        functions: dict[str, Callable[[], object]] = {
========
def emit_into_the_catalogue(rounds: int) -> Claim:
    """Compare one ``llm_called`` with the same updates written by hand where the call is made."""
    number = 300
    from_events, by_hand, from_send = CollectorRegistry(), CollectorRegistry(), CollectorRegistry()
    inline = handwritten_update(by_hand)
    blinker_signal: Any = blinker.Signal()
    update = handwritten_update(from_send)
    blinker_signal.connect(lambda _, **fields: update(fields), weak=False)
    with subscribe(CATALOGUE, from_events, namespace="sparklio"):
        alternatives: dict[str, Callable[[], object]] = {
>>>>>>>> 5f2fbc1 (Call the benchmarks' modules and parts by the field's words):benchmarks/emission.py
            "llm_called": lambda: llm_called.emit(**CALL),
            "inline": lambda: inline(CALL),
            "a blinker receiver": lambda: blinker_signal.send(None, **CALL),
        }
<<<<<<<< HEAD:benchmarks/emit.py
        for function in functions.values():
            function()
        if nonzero_samples(subscribed) != nonzero_samples(by_hand):
            raise AssertionError("the two do not update the same series")
        runs = alternately({name: repeat(number, function) for name, function in functions.items()}, rounds)
========
        for alternative in alternatives.values():
            alternative()
        if counts(from_events) != counts(by_hand):
            raise AssertionError("the two do not update the same series")
        runs = alternately({name: repeat(number, function) for name, function in alternatives.items()}, rounds)
>>>>>>>> 5f2fbc1 (Call the benchmarks' modules and parts by the field's words):benchmarks/emission.py
    return Claim(
        what="one `llm_called` into its metrics, to the same updates inline with `labels(**kw)`",
        bar=0.5,
        better="lower",
        unit="times",
        ours=ratios(runs["llm_called"], runs["inline"]),
        peers={"a blinker receiver that does the same": ratios(runs["a blinker receiver"], runs["inline"])},
        runs={f"{name}, us": [run / number * 1e6 for run in seconds] for name, seconds in runs.items()},
    )


<<<<<<<< HEAD:benchmarks/emit.py
def bound_beforehand(rounds: int) -> Claim:
    """Compare one ``query_executed`` whose fields are bound beforehand, but for its amounts, with one emitted whole."""
========
def bound_emitter(rounds: int) -> Claim:
    """Compare one ``query_executed`` whose fields are bound but for its measures with one emitted with all of them."""
>>>>>>>> 5f2fbc1 (Call the benchmarks' modules and parts by the field's words):benchmarks/emission.py
    number = 300
    query: dict[str, Any] = {"operation": "select", "table": "runs", "cache": "hit"}
    emit = query_executed.bind("duration", "rows", **query)
    with subscribe(CATALOGUE, CollectorRegistry(), namespace="sparklio"):
<<<<<<<< HEAD:benchmarks/emit.py
        functions: dict[str, Callable[[], object]] = {
            "bind": lambda: emit((0.002, 3)),
            "emit": lambda: query_executed.emit(duration=0.002, rows=3, **query),
        }
        runs = alternately({name: repeat(number, function) for name, function in functions.items()}, rounds)
========
        alternatives: dict[str, Callable[[], object]] = {
            "bind": lambda: emit((0.002, 3)),
            "emit": lambda: query_executed.emit(duration=0.002, rows=3, **query),
        }
        runs = alternately({name: repeat(number, function) for name, function in alternatives.items()}, rounds)
>>>>>>>> 5f2fbc1 (Call the benchmarks' modules and parts by the field's words):benchmarks/emission.py
    return Claim(
        what="one `query_executed` into its metrics by `bind`, to by `emit`",
        bar=0.5,
        better="lower",
        unit="times",
        ours=ratios(runs["bind"], runs["emit"]),
        runs={f"{name}, us": [run / number * 1e6 for run in seconds] for name, seconds in runs.items()},
    )


def repeat(number: int, function: Callable[[], object]) -> Callable[[], None]:
<<<<<<<< HEAD:benchmarks/emit.py
    """Return a function that does something so often that a clock can measure it."""
========
    """Return a function that calls another so often that a clock can measure it."""
>>>>>>>> 5f2fbc1 (Call the benchmarks' modules and parts by the field's words):benchmarks/emission.py

    def run() -> None:
        for _ in range(number):
            function()

    return run


<<<<<<<< HEAD:benchmarks/emit.py
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
========
def handwritten_update(registry: CollectorRegistry) -> Callable[[dict[str, Any]], None]:
    """Return a function that makes the updates of one successful call on instruments like the catalogue's."""
    subscription = subscribe(CATALOGUE, registry, namespace="sparklio")
    names = {row.name for row in CATALOGUE}
    collectors = {name: subscription.collector(name) for name in names}
    subscription.close()  # events no longer update them
    for instrument in collectors.values():
        registry.register(instrument)
    requests, tokens, details = (
        collectors["llm_requests_total"],
        collectors["llm_tokens_total"],
        collectors["llm_token_details_total"],
>>>>>>>> 5f2fbc1 (Call the benchmarks' modules and parts by the field's words):benchmarks/emission.py
    )
    duration, cost, reasons = (
        collectors["llm_request_duration_seconds"],
        collectors["llm_cost_usd_total"],
        collectors["llm_finish_reasons_total"],
    )
    events, last = collectors["events_total"], collectors["last_event_timestamp_seconds"]

    def update(call: dict[str, Any]) -> None:
        model = call["model"]
        requests.labels(model=model, status=call["status"]).inc()
        tokens.labels(model=model, token_type="prompt").inc(call["prompt_tokens"])  # noqa: S106  # no secret
        tokens.labels(model=model, token_type="completion").inc(call["completion_tokens"])  # noqa: S106  # no secret
        details.labels(model=model, detail="cache_read").inc(call["cache_read_tokens"])
        duration.labels(model=model).observe(call["duration"])
        cost.labels(model=model, source=call["cost_source"]).inc(call["cost"])
        reasons.labels(model=model, reason=call["finish_reason"]).inc()
        events.labels(signal="llm_called").inc()
        last.labels(signal="llm_called").set(time())

    return update


<<<<<<<< HEAD:benchmarks/emit.py
def nonzero_samples(registry: CollectorRegistry) -> dict[tuple[str, str], float]:
    """Return every sample that is not zero, without times."""
========
def counts(registry: CollectorRegistry) -> dict[tuple[str, str], float]:
    """Return every sample that is not zero, without timestamps and durations."""
>>>>>>>> 5f2fbc1 (Call the benchmarks' modules and parts by the field's words):benchmarks/emission.py
    return {
        (sample.name, str(sample.labels)): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.value and not sample.name.endswith(("_created", "_seconds"))
    }
