"""The formats in which a registry can be rendered: texts, and Protocol Buffers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Escaping = Literal["underscores", "allow-utf-8", "dots", "values"]
"""How names with characters outside ``[a-zA-Z0-9_:]`` are written.

See prometheus.io/docs/instrumenting/escaping_schemes.
"""


@dataclass(frozen=True, slots=True)
class Format:
    """A format: its media type, its version, and its escaping of names that older readers cannot parse."""

    media_type: Literal["text/plain", "application/openmetrics-text", "application/vnd.google.protobuf"]
    version: str
    escaping: Escaping = "underscores"
    with_created: bool = False
    """Whether OpenMetrics says when counters and histograms began, though prometheus_client is told to leave it out."""

    with_classic: bool = True
    """Whether messages have the classic buckets of a histogram too that has exponential ones."""

    @property
    def is_openmetrics(self) -> bool:
        """Whether this is OpenMetrics, which has units, exemplars and ``# EOF``."""
        return self.media_type == "application/openmetrics-text"

    @property
    def is_protobuf(self) -> bool:
        """Whether this is a stream of messages and no text."""
        return self.media_type == "application/vnd.google.protobuf"

    @property
    def supports_escaping(self) -> bool:
        """Whether a scraper may choose the escaping; texts before version 1.0.0 always use underscores."""
        return self.version == "1.0.0" or self.is_protobuf

    @property
    def content_type(self) -> str:
        """The value of the ``Content-Type`` header."""
        escaping = f"; escaping={self.escaping}" if self.supports_escaping else ""
        if self.is_protobuf:
            parameters = "; ".join(f"{name}={value}" for name, value in PROTOBUF_PARAMETERS.items())
            return f"{self.media_type}; {parameters}{escaping}"
        return f"{self.media_type}; version={self.version}; charset=utf-8{escaping}"


PROTOBUF_PARAMETERS = {"proto": "io.prometheus.client.MetricFamily", "encoding": "delimited"}
"""The parameters of the media type that say which messages these are, and that each follows its length."""

TEXT = Format("text/plain", "0.0.4")
TEXT_1 = Format("text/plain", "1.0.0")
OPENMETRICS = Format("application/openmetrics-text", "1.0.0")
OPENMETRICS_0 = Format("application/openmetrics-text", "0.0.1")
PROTOBUF = Format("application/vnd.google.protobuf", "")

OFFERED_FORMATS = (TEXT, OPENMETRICS, OPENMETRICS_0, TEXT_1, PROTOBUF)
"""All formats that can be negotiated; a scraper without a preference gets the first."""
