"""The formats that a registry can be written in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Escaping = Literal["underscores", "allow-utf-8", "dots", "values"]
"""What becomes of names beyond ``[a-zA-Z0-9_:]`` (prometheus.io/docs/instrumenting/escaping_schemes)."""


@dataclass(frozen=True, slots=True)
class Format:
    """A text format, its version, and how it writes names that older readers do not know."""

    media_type: Literal["text/plain", "application/openmetrics-text"]
    version: str
    escaping: Escaping = "underscores"

    @property
    def is_openmetrics(self) -> bool:
        """Whether it is OpenMetrics, which has units, exemplars and an end."""
        return self.media_type == "application/openmetrics-text"

    @property
    def supports_escaping(self) -> bool:
        """Whether a scraper may choose the escaping; older versions know underscores only."""
        return self.version == "1.0.0"

    @property
    def content_type(self) -> str:
        """The HTTP header."""
        escaping = f"; escaping={self.escaping}" if self.supports_escaping else ""
        return f"{self.media_type}; version={self.version}; charset=utf-8{escaping}"


TEXT = Format("text/plain", "0.0.4")
TEXT_1 = Format("text/plain", "1.0.0")
OPENMETRICS = Format("application/openmetrics-text", "1.0.0")
OPENMETRICS_0 = Format("application/openmetrics-text", "0.0.1")

OFFERED_FORMATS = (TEXT, OPENMETRICS, OPENMETRICS_0, TEXT_1)
"""What there is, the first being what a scraper gets that does not care."""
