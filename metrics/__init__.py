"""What is counted: the only package that knows Prometheus.

>>> from metrics import CATALOGUE, subscribe

`subscribe` connects the catalogue's rows to the signals of `events`; a row is made by `counter`, `histogram`, `gauge`
or `in_flight`; `render` writes a registry, `Endpoint` serves it to scrapers and `scrape` gives what they would get.
``python -m metrics`` prints the catalogue and checks it.
"""

from . import buckets
from .catalogue import CATALOGUE, DATABASE_DETAILS, LABEL_LIMITS, OPTIONAL, SERIES_BUDGET, UNCOUNTED_SIGNALS
from .diagnostics.lifespan import process_lifespan
from .exposition.endpoint import Endpoint
from .exposition.render import render
from .exposition.scrape import ScrapeResponse, scrape
from .multiprocess import Workers
from .rows import Metric, counter, gauge, histogram, in_flight
from .subscription.subscribe import Subscription, subscribe

__all__ = [
    "CATALOGUE",
    "DATABASE_DETAILS",
    "LABEL_LIMITS",
    "OPTIONAL",
    "SERIES_BUDGET",
    "UNCOUNTED_SIGNALS",
    "Endpoint",
    "Metric",
    "ScrapeResponse",
    "Subscription",
    "Workers",
    "buckets",
    "counter",
    "gauge",
    "histogram",
    "in_flight",
    "process_lifespan",
    "render",
    "scrape",
    "subscribe",
]
