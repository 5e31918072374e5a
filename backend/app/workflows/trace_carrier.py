"""The trace that a run was asked for in, carried through the queue to the process that executes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.context import attach, detach
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Carrier = dict[str, str]
"""The ``traceparent`` and ``tracestate`` of W3C's Trace Context, by name."""


def current_carrier() -> Carrier | None:
    """Return the carrier of the trace that the running code is in; None outside of all.

    Without baggage: it is of any size, and would be stored with the run.
    """
    carrier: Carrier = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier or None


@contextmanager
def continued(carrier: Carrier | None) -> Iterator[None]:
    """Continue the trace of a carrier while the block runs, if there is one."""
    if not carrier:
        yield
        return
    token = attach(TraceContextTextMapPropagator().extract(carrier))
    try:
        yield
    finally:
        detach(token)
