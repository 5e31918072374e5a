"""Events of scrapes: the metrics as they were rendered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from .bus.fields import Bytes, Measure, Seconds
from .bus.signal import Signal

Series = Annotated[int, Measure("series")]
"""A number of time series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsRendered:
    """The metrics were rendered and compressed for a scrape, or for several concurrent ones."""

    format: Literal["text", "openmetrics", "other"]  # Protocol Buffers are the other
    encoding: Literal["identity", "gzip", "zstd"]
    duration: Seconds
    size: Bytes
    series: Series | None = None  # unknown where the scrape asked for some metrics by name


metrics_rendered = Signal(MetricsRendered)
