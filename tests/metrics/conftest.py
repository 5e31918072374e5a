"""A registry and a subscription for each test, and a function that reads its samples."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from events import WorkerFileFaulty, worker_file_faulty
from metrics import CATALOGUE, Subscription, subscribe
from tests.support.samples import Read


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def subscription(registry: CollectorRegistry) -> Iterator[Subscription]:
    with subscribe(CATALOGUE, registry, namespace="sparklio") as live:
        yield live


@pytest.fixture
def read(registry: CollectorRegistry) -> Read:
    """Return a function that reads one sample by its name without the namespace; None if there is no such series."""

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"sparklio_{name}", labels)

    return value


@pytest.fixture
def faults() -> Iterator[list[str]]:
    """Return the faults of workers' files that are emitted during the test."""
    emitted: list[str] = []

    def record(event: WorkerFileFaulty) -> None:
        emitted.append(event.fault)

    with worker_file_faulty.connected_to(record):
        yield emitted
