"""What a scraper is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from .bus.fields import Bytes, Measure, Seconds
from .bus.signal import Signal

Series = Annotated[int, Measure("series")]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsRendered:
    """The metrics were written and compressed for a scraper, or for several that asked at once."""

    format: Literal["text", "openmetrics"]
    encoding: Literal["identity", "gzip", "zstd"]
    duration: Seconds
    size: Bytes
    series: Series | None = None  # unknown where only some were asked for


metrics_rendered = Signal(MetricsRendered)
