"""Two snapshots of a registry, so many seconds apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from prometheus_client import CollectorRegistry

from metrics import Subscription
from metrics.live import Expression, Snapshot, SnapshotReader
from metrics.live.increases import Numbers


@dataclass
class Watched:
    """An expression whose registry was read once, and is read again by `after`."""

    expression: Expression
    reader: SnapshotReader
    before: Snapshot

    def after(self, seconds: float = 0.0) -> Numbers:
        """Return its values as if so many seconds had gone by, by default as many as it looks back."""
        later = replace(self.reader.read(), at=self.before.at + (seconds or self.expression.span or 1.0))
        values = self.expression.values(self.before, later)
        # A sum of floats differs in its last digit by how long the test took.
        return {key: value if value is None else round(value, 9) for key, value in values.items()}


@pytest.fixture
def watched(registry: CollectorRegistry, subscription: Subscription) -> Callable[[Expression], Watched]:
    def watch(expression: Expression) -> Watched:
        reader = SnapshotReader(registry, subscription.namespace, expression.sources)
        return Watched(expression, reader, reader.read())

    return watch
