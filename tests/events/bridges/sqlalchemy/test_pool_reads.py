"""The pools of all engines are read before each render, without anybody who remembers to."""

from __future__ import annotations

import gc
from pathlib import Path

import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from events.bridges.sqlalchemy import instrument
from metrics import CATALOGUE, subscribe
from metrics.rows import OTHER
from tests.support.garbage import collect_all


def in_use(registry: CollectorRegistry) -> dict[str, float]:
    """Return the connections in use, by pool."""
    return {
        sample.labels["pool"]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "acme_db_pool_connections" and sample.labels["state"] == "used"
    }


def new_engine(folder: Path, name: str) -> sa.Engine:
    return sa.create_engine(f"sqlite:///{folder}/{name}.db", poolclass=sa.QueuePool)


def test_pools_are_read_for_a_subscription_made_before_or_after(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, "one")
    before, after = CollectorRegistry(), CollectorRegistry()
    with subscribe(CATALOGUE, before, namespace="acme", label_values={"pool": ["one"]}):
        assert in_use(before) == {}
        with instrument(engine, "one"), engine.connect(), subscribe(CATALOGUE, after, namespace="acme"):
            assert in_use(before) == in_use(after) == {"one": 1}


def test_pools_past_the_limit_are_added_up(tmp_path: Path) -> None:
    collect_all()  # an engine of another test that is still there would be the first of the two that have a name
    registry = CollectorRegistry()
    with subscribe(CATALOGUE, registry, namespace="acme", label_limits={"pool": 2}):
        engines = [new_engine(tmp_path, str(number)) for number in range(7)]
        handles = [instrument(engine, f"shard {number}") for number, engine in enumerate(engines)]
        held = [engine.connect() for engine in engines[:6]]
        assert in_use(registry) == {"shard 0": 1, "shard 1": 1, OTHER: 4}
        capacity = sum(
            sample.value
            for family in registry.collect()
            for sample in family.samples
            if sample.name == "acme_db_pool_capacity"
        )
        assert capacity == 7 * 15
        handles[5].close()
        handles[0].close()
        assert in_use(registry) == {"shard 1": 1, OTHER: 3}
        for connection in held:
            connection.close()
        for handle in handles:
            handle.close()
        assert in_use(registry) == {}


def test_engines_of_one_name_are_added_up_and_one_that_is_gone_goes(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    with subscribe(CATALOGUE, registry, namespace="acme"):
        first, second = new_engine(tmp_path, "first"), new_engine(tmp_path, "second")
        with instrument(first), first.connect():
            instrument(second)
            connection = second.connect()
            assert in_use(registry) == {"main": 2}
            connection.close()
            second.dispose()
            del second, connection
            gc.collect()
            assert in_use(registry) == {"main": 1}
        assert in_use(registry) == {}
