"""The answers to scrapes."""

from __future__ import annotations

from events import metrics_rendered

from .. import buckets
from ..rows import counter, gauge, histogram

# fmt: off
EXPOSITION = (
    histogram("metrics_render_duration_seconds", "Time to write and compress what a scraper is given.",
        metrics_rendered, value="duration", labels=("format",), buckets=buckets.RENDER, initialize=False),
    counter("metrics_rendered_bytes_total", "Bytes that scrapers were given, compressed.",
        metrics_rendered, value="size", labels=("format", "encoding"), initialize=False),
    gauge("metrics_rendered_series", "Samples in the last scrape of everything.",
        metrics_rendered, value="series", multiprocess_mode="livemostrecent"),
)
# fmt: on
