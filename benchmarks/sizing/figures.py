"""The figures that were measured, in a file beside this module: the page is written from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from .stores import Stored
from .studio_scrapes import Page

FILE = Path(__file__).with_name("measured.json")


@dataclass(frozen=True)
class ScrapeSize:
    """The bytes of a scrape, and of its gzip."""

    plain: int
    gzip: int


@dataclass(frozen=True, kw_only=True)
class QuantileErrors:
    """How far off the worst quantile is, as a share of the right one, by what was observed.

    Attributes:
        job: How the program has the histograms.
    """

    program: str
    job: str
    date: str
    errors: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """All that was measured: scrapes by their format, and what each program needs and computes, in order.

    Attributes:
        samples: Those of a scrape as text.
    """

    machine: str = ""
    samples: int = 0
    scrapes: dict[str, ScrapeSize]
    stored: tuple[Stored, ...] = ()
    quantiles: tuple[QuantileErrors, ...] = ()

    @classmethod
    def read(cls) -> Self:
        """Return what the file has."""
        if not FILE.exists():
            return cls(scrapes={})
        found = json.loads(FILE.read_text())
        scrapes = {name: ScrapeSize(**size) for name, size in found["scrapes"].items()}
        stored = tuple(Stored(**each) for each in found["stored"])
        quantiles = tuple(QuantileErrors(**each) for each in found.get("quantiles", ()))
        return cls(**{**found, "scrapes": scrapes, "stored": stored, "quantiles": quantiles})

    def write(self) -> None:
        """Write the file."""
        FILE.write_text(json.dumps(asdict(self), indent=1) + "\n")

    def with_stores(self, machine: str, pages: dict[str, Page], stored: Sequence[Stored]) -> Self:
        """Return the same with another measurement of stores, in place of one of the same programs."""
        programs = {each.program for each in stored}
        kept = [each for each in self.stored if each.program not in programs]
        return replace(
            self,
            machine=machine,
            samples=samples_of(pages["text"]),
            scrapes={name: ScrapeSize(len(page.content()), len(page.body)) for name, page in pages.items()},
            stored=tuple(sorted([*kept, *stored], key=lambda each: each.program)),
        )

    def with_quantiles(self, quantiles: Sequence[QuantileErrors]) -> Self:
        """Return the same with other errors of quantiles, in place of those of the same programs."""
        programs = {each.program for each in quantiles}
        kept = [each for each in self.quantiles if each.program not in programs]
        return replace(self, quantiles=tuple(sorted([*kept, *quantiles], key=lambda each: each.program)))

    def of(self, variant: str) -> Stored:
        """Return what the newest Prometheus that has a variant needs for it."""
        return [each for each in self.stored if each.variant == variant and each.program.startswith("Prometheus")][-1]


def samples_of(text: Page) -> int:
    """Return how many samples a text has."""
    return sum(1 for line in text.content().splitlines() if line and not line.startswith(b"#"))
