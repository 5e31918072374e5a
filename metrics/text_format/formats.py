"""The text formats in which a registry can be rendered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Escaping = Literal["underscores", "allow-utf-8", "dots", "values"]
"""How names with characters outside ``[a-zA-Z0-9_:]`` are written.

See prometheus.io/docs/instrumenting/escaping_schemes.
"""


@dataclass(frozen=True, slots=True)
class Format:
    """A text format: its media type, its version, and its escaping of names that older readers cannot parse."""

    media_type: Literal["text/plain", "application/openmetrics-text"]
    version: str
    escaping: Escaping = "underscores"

    @property
    def is_openmetrics(self) -> bool:
        """Whether this is OpenMetrics, which has units, exemplars and ``# EOF``."""
        return self.media_type == "application/openmetrics-text"

    @property
    def supports_escaping(self) -> bool:
        """Whether a scraper may choose the escaping; versions before 1.0.0 always use underscores."""
        return self.version == "1.0.0"

    @property
    def content_type(self) -> str:
        """The value of the ``Content-Type`` header."""
        escaping = f"; escaping={self.escaping}" if self.supports_escaping else ""
        return f"{self.media_type}; version={self.version}; charset=utf-8{escaping}"


TEXT = Format("text/plain", "0.0.4")
TEXT_1 = Format("text/plain", "1.0.0")
OPENMETRICS = Format("application/openmetrics-text", "1.0.0")
OPENMETRICS_0 = Format("application/openmetrics-text", "0.0.1")

OFFERED_FORMATS = (TEXT, OPENMETRICS, OPENMETRICS_0, TEXT_1)
"""All formats that can be negotiated; a scraper without a preference gets the first."""
