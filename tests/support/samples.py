"""Functions that read the samples of a registry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from math import fsum
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample


class Read(Protocol):
    """Reads one sample by the name without its namespace; None where the series does not exist."""

    def __call__(self, name: str, **labels: str) -> float | None: ...


def samples(registry: CollectorRegistry, name: str) -> Iterator[tuple[dict[str, str], float]]:
    """Yield the labels and the value of every sample of a name, which is given without the namespace."""
    for family in registry.collect():
        yield from ((sample.labels, sample.value) for sample in family.samples if sample.name == f"sparklio_{name}")


def summed(scraped: Iterable[Sample], name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """Return the sums of a name's samples by the values of some labels, without those that are zero.

    The name is without the namespace.
    """
    found: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
    for sample in scraped:
        if sample.name == f"sparklio_{name}":
            found[tuple(sample.labels[label] for label in labels)].append(sample.value)
    return {key: total for key, values in found.items() if (total := fsum(values))}
