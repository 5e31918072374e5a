"""``docs/hosts.md``: processes have the connections that the page counts."""

from __future__ import annotations

import re
from pathlib import Path

import yaml  # type: ignore[import-untyped]
from sqlalchemy.pool import QueuePool

from app.database import Database
from app.settings import Settings
from app.workflows import dbos_engine
from tests.test_scale_page import rows_below

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "hosts.md").read_text()
URL = "postgresql://studio:password@127.0.0.1:1/studio"


def test_a_process_has_at_most_the_connections_that_the_page_adds_up() -> None:
    counted = {row[0]: int(re.findall(r"\d+", row[2])[0]) for row in rows_below("Connections", PAGE)}
    pool = Database(Settings(database_url=URL)).engine.pool
    assert isinstance(pool, QueuePool)
    assert counted["requests and runs"] == pool.size() + pool._max_overflow
    assert f"{pool.size()} stay open" in PAGE
    engine = dbos_engine.create(URL)
    assert isinstance(engine.pool, QueuePool)
    assert counted["the workflow engine"] == engine.pool.size() + engine.pool._max_overflow
    [total] = re.findall(r"a process has (\d+) at most", PAGE)
    assert sum(counted.values()) == int(total)


def test_the_pods_of_the_manifests_have_at_most_the_connections_that_the_page_adds_up() -> None:
    counted = {row[0]: int(re.findall(r"\d+", row[2])[0]) for row in rows_below("Connections", PAGE)}
    pods = pods_while_rolling = 0
    for role, each in {
        "api": sum(counted.values()) - counted["notices of queued runs"],
        "worker": sum(counted.values()),
    }.items():
        [spec] = [
            manifest["spec"]
            for manifest in yaml.safe_load_all((ROOT / "deploy" / "kubernetes" / f"{role}.yml").read_text())
            if manifest["kind"] == "Deployment"
        ]
        pods += spec["replicas"] * each
        pods_while_rolling += (spec["replicas"] + spec["strategy"]["rollingUpdate"]["maxSurge"]) * each
    found = re.findall(r"have (\d+) connections at most, and (\d+) while a rollout", PAGE)
    assert found == [(str(pods), str(pods_while_rolling))]
