"""Prometheus metrics of the events of `events`: the only package that knows Prometheus.

>>> from events import tool_called
>>> from metrics import CATALOGUE, scrape, subscribe
>>> from prometheus_client import CollectorRegistry
>>> registry = CollectorRegistry()
>>> with subscribe(CATALOGUE, registry, namespace="acme"):
...     tool_called.emit(tool_name="search", status="success", duration=0.2)
...     b'acme_tool_calls_total{mcp_server="none",status="success",tool_name="search"} 1.0' in scrape(registry).body
True

`subscribe` connects rows of the `catalogue` to the signals of `events`; a row is made by `counter`, `histogram`,
`gauge` or `in_flight`. `CATALOGUE` is the sum of groups that can be subscribed alone, such as `LLM` or `DATABASE`.
`instrument` sets up a whole application of Starlette or FastAPI by one call.
`render` writes a registry as text, `Endpoint` serves it to scrapers, `serve` on a port of its own, and `scrape` returns
what a scraper would get.
``python -m metrics`` prints the catalogue and checks it.
"""

import typing

from . import buckets
from .alert_when import AlertWhen
from .catalogue import (
    AGENTS,
    CATALOGUE,
    CONTEXT,
    DATABASE,
    DATABASE_DETAILS,
    EVALUATIONS,
    EXPOSITION,
    GROUPS,
    GUARDRAILS,
    HTTP,
    LABEL_LIMITS,
    LIMITS,
    LISTENERS,
    LLM,
    OPTIONAL,
    PIPELINE,
    PROCESS,
    RETRIEVAL,
    SERIES_BUDGET,
    TOOLS,
    UNCOUNTED_SIGNALS,
    WORKERS,
    WORKFLOWS,
)
from .diagnostics.lifespan import process_lifespan
from .exposition.endpoint import Endpoint
from .exposition.render import render
from .exposition.scrape import ScrapeResponse, scrape
from .multiprocess import Workers
from .rows import Metric, counter, gauge, histogram, in_flight
from .subscription.subscribe import Subscription, subscribe

if typing.TYPE_CHECKING:
    from .exposition.http_server import MetricsServer, serve
    from .instrumentation.instrument_application import InstrumentedApplication, instrument

__all__ = [
    "AGENTS",
    "CATALOGUE",
    "CONTEXT",
    "DATABASE",
    "DATABASE_DETAILS",
    "EVALUATIONS",
    "EXPOSITION",
    "GROUPS",
    "GUARDRAILS",
    "HTTP",
    "LABEL_LIMITS",
    "LIMITS",
    "LISTENERS",
    "LLM",
    "OPTIONAL",
    "PIPELINE",
    "PROCESS",
    "RETRIEVAL",
    "SERIES_BUDGET",
    "TOOLS",
    "UNCOUNTED_SIGNALS",
    "WORKERS",
    "WORKFLOWS",
    "AlertWhen",
    "Endpoint",
    "InstrumentedApplication",
    "Metric",
    "MetricsServer",
    "ScrapeResponse",
    "Subscription",
    "Workers",
    "buckets",
    "counter",
    "gauge",
    "histogram",
    "in_flight",
    "instrument",
    "process_lifespan",
    "render",
    "scrape",
    "serve",
    "subscribe",
]

_LATE = {
    "InstrumentedApplication": "instrumentation.instrument_application",
    "MetricsServer": "exposition.http_server",
    "instrument": "instrumentation.instrument_application",
    "serve": "exposition.http_server",
}
"""Names that are imported when they are asked for, with their modules: those need asyncio and bridges."""


def __getattr__(name: str) -> typing.Any:
    """Return one of the names that are imported late."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    return value


def __dir__() -> list[str]:
    """Return the names of the module, those that are imported late too."""
    return sorted({*globals(), *_LATE})
