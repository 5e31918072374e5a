"""A subscription of its own for each test, and a short way to read it."""

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
    """Read one sample by the name without its namespace; None where the series does not exist."""

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"sparklio_{name}", labels)

    return value


@pytest.fixture
def faults() -> Iterator[list[str]]:
    """What was told of workers' files that are faulty."""
    told: list[str] = []

    def note(event: WorkerFileFaulty) -> None:
        told.append(event.fault)

    with worker_file_faulty.connected_to(note):
        yield told
