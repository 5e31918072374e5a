"""Traces: what workflows, agents, models and tools do, as OpenTelemetry spans of whatever SDK the process was given."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.trace import ProxyTracerProvider, get_tracer_provider

from traces import trace_events

log = logging.getLogger("app.listeners")


@contextmanager
def listen() -> Iterator[None]:
    """Make spans of events while the block runs."""
    provider = get_tracer_provider()
    if isinstance(provider, ProxyTracerProvider):
        log.warning(
            "SPARKLIO_TRACES is on, and this process has no OpenTelemetry SDK that would record spans: start it by"
            " opentelemetry-instrument"
        )
    with trace_events(provider):
        yield
