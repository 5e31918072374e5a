"""Benchmarks of what the documents claim, beside other libraries; ``make bench`` runs them.

A benchmark is a module of this package with ``measure(short: bool) -> list[Claim]``. It runs in a process of its own,
so it may leave heaps and registries behind. In the short form it takes a few seconds. Its figures are ratios wherever
that can be, since machines differ.
"""

from __future__ import annotations

# fmt: off
BENCHMARKS = (
    "http_request",    # instrumenting an HTTP request
    "emit",            # emitting an event, without receivers and into the catalogue
    "emit_instructions",  # the same in instructions
    "model_calls",     # instrumenting the client of an SDK of models
    "pydantic_ai_calls",  # instrumenting a model of pydantic-ai
    "pydantic_ai_instructions",  # the same in instructions
    "rendering",       # rendering 100,000 samples
    "studio_scrape",   # a scrape of a studio, compressed
    "event_loop_lag",  # what an event loop notices of that
    "memory",          # what is cached for it
    "flat_memory",     # what ever new statements, tables, engines, endpoints, models and tools leave
    "database",        # instrumenting a database engine
    "database_instructions",  # the shortest statements of it in instructions
    "workers",         # several processes: a scrape and an update
    "bad_listeners",   # what business code notices of listeners that misbehave
    "span_processor",  # what OpenTelemetry's spans of models, tools and agents cost as events
    "idle_studio",     # the processor time that the studio takes while nothing happens
)
# fmt: on

# fmt: off
OF_THIS_MACHINE = frozenset({
    "emit_instructions", "model_calls", "pydantic_ai_calls", "pydantic_ai_instructions", "span_processor",
    "studio_scrape", "database_instructions",
})
# fmt: on
"""Those with bars in seconds or in instructions of this build of Python, which are others on another machine, and one
of ratios of instructions, which takes a minute beside the times of `database`: the short form has none of them."""
