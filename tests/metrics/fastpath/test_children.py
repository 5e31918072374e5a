"""The numbers inside prometheus_client's instruments can be put in others' hands."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from metrics import render
from metrics.fastpath import children
from metrics.multiprocess import Workers


def test_the_version_at_hand_is_trusted() -> None:
    assert children.values_are_replaceable()


@pytest.mark.parametrize("kind", [Counter, Gauge, Histogram])
@pytest.mark.parametrize("labels", [(), ("a", "b")])
def test_what_moves_an_instrument_moves_what_is_shown(
    kind: type[Counter | Gauge | Histogram], labels: tuple[str, ...], tmp_path: Path
) -> None:
    """With labels and without."""
    workers, registry = Workers(tmp_path), CollectorRegistry()
    moved, shown = workers.create_instruments(kind, "moved", "m", labels, "total" if kind is not Gauge else "livesum")
    workers.attach(registry)
    registry.register(shown)
    child = moved.labels(*labels) if labels else moved
    (getattr(child, "observe", None) or child.inc)(2.0)
    render(registry)
    told = {sample.name: sample.value for family in shown.collect() for sample in family.samples}
    assert told[{Counter: "moved_total", Gauge: "moved", Histogram: "moved_sum"}[kind]] == (2.0)
    assert told.get("moved_count", 1.0) == 1.0
    workers.close()


def test_a_version_built_another_way_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What moves its numbers does not go through what it was given: each process shows its own."""

    def inc(self: Counter, amount: float = 1) -> None:
        """Keep the amount elsewhere."""

    monkeypatch.setattr(Counter, "inc", inc)
    children.values_are_replaceable.cache_clear()
    assert not children.values_are_replaceable()
    monkeypatch.undo()
    children.values_are_replaceable.cache_clear()
    assert children.values_are_replaceable()
