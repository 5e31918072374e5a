"""Short ways to read a registry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from prometheus_client import CollectorRegistry


class Read(Protocol):
    """Reads one sample by the name without its namespace; None where the series does not exist."""

    def __call__(self, name: str, **labels: str) -> float | None: ...


def samples(registry: CollectorRegistry, name: str) -> Iterator[tuple[dict[str, str], float]]:
    """Give the labels and values of every sample of a name, without its namespace."""
    for family in registry.collect():
        yield from ((sample.labels, sample.value) for sample in family.samples if sample.name == f"sparklio_{name}")
