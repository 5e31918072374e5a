"""A scrape of a studio, with gzip."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from metrics import scrape

from .measurement import Claim, alternately
from .registries import studio


def measure(short: bool) -> list[Claim]:
    """Measure a scrape with gzip of a studio at rest, of whose families few move; the bar is half of what it took."""
    registry = CollectorRegistry()
    with studio(registry) as live_on:

        def scraped() -> object:
            return scrape(registry, "", "gzip")

        for _ in range(20):  # until what stays the same is compressed for good
            live_on()
            scraped()
        runs = alternately({"ours": scraped}, rounds=5 if short else 20, before=live_on, tries=5)
        return [
            Claim(
                what="a scrape with gzip of the catalogue, of which a few families move",
                bar=3.15,
                better="lower",
                unit="ms",
                ours=[1000 * seconds for seconds in runs["ours"]],
                note=f"{len(scrape(registry, '', 'gzip').body):,} bytes of {len(scrape(registry).body):,}",
            )
        ]
