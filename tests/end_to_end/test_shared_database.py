"""Hosts that share a database take over what another one has left, and nothing of one that lives."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.studio import BRIEF
from tests.support.two_hosts import STEPS, start_on, two_hosts
from tests.support.wait import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_suspended_host_loses_its_runs_and_goes_on_without_them(tmp_path: Path) -> None:
    with two_hosts(tmp_path) as hosts:
        hosts.first.start()
        hosts.model.delay = 1.0
        [product] = start_on(hosts, hosts.first)
        hosts.second.start()
        hosts.first.freeze()
        before = hosts.model.calls(product)["hosta"]
        assert hosts.wait_for_end(product, hosts.second)["status"] == "completed"
        hosts.first.thaw()
        wait_until(lambda: "the lease on the database is renewed" in hosts.first.output)
        assert "1 runs are left to others" in hosts.first.output
        assert hosts.model.calls(product)["hosta"] == before, "no call without a lease"
        hosts.model.delay = 0.05
        hosts.second.stop()
        assert hosts.wait_for_end(hosts.submit(hosts.first), hosts.first)["status"] == "completed"


def test_a_database_that_was_away_for_longer_than_a_lease_makes_nobody_dead(tmp_path: Path) -> None:
    with two_hosts(tmp_path) as hosts:
        for host in hosts.cluster.hosts.values():
            host.start()
        hosts.model.delay = 1.0
        products = [hosts.submit(hosts.first) for _ in range(4)]
        for product in products:
            hosts.wait_for_calls(product, 1)
        hosts.cluster.server.stop()
        wait_until(lambda: all("has lapsed" in host.output for host in hosts.cluster.hosts.values()))
        hosts.cluster.server.start()
        for product in products:
            assert hosts.wait_for_end(product, hosts.first)["status"] == "completed"
        for host in hosts.cluster.hosts.values():
            wait_until(lambda host=host: "is renewed" in host.output)  # type: ignore[misc]
            assert "is taken over" not in host.output


def test_the_table_of_leases_may_be_emptied_while_hosts_run(tmp_path: Path) -> None:
    with two_hosts(tmp_path) as hosts:
        hosts.first.start()
        hosts.second.start()
        hosts.model.delay = 2.0
        product = hosts.submit(hosts.first)
        hosts.wait_for_calls(product, 1)
        hosts.rows("TRUNCATE executors")
        wait_until(lambda: len(hosts.rows("SELECT id FROM executors")) == 2)
        assert hosts.wait_for_end(product, hosts.first)["status"] == "completed"
        assert sum(hosts.model.calls(product).values()) == STEPS
        killed = {"hosta": hosts.first, "hostb": hosts.second}
        product = hosts.submit(hosts.first)
        hosts.wait_for_calls(product, 1)
        holder = killed.pop(hosts.holder(product))
        holder.kill()
        hosts.rows("TRUNCATE executors")
        [other] = killed.values()
        assert hosts.wait_for_end(product, other)["status"] == "completed"


def test_runs_of_hosts_that_all_died_are_finished_by_one_with_another_folder(tmp_path: Path) -> None:
    with two_hosts(tmp_path) as hosts:
        hosts.first.start()
        hosts.model.delay = 1.0
        products = start_on(hosts, hosts.first, 2)
        hosts.first.kill()
        hosts.second.start()
        for product in products:
            run = hosts.wait_for_end(product, hosts.second)
            assert (run["status"], {step["status"] for step in run["steps"]}) == ("completed", {"success"})
            assert sum(hosts.model.calls(product).values()) <= STEPS + 1
        assert hosts.second.output.count("is taken over from hosta") == 2


def test_a_restarted_host_takes_its_runs_without_waiting_for_its_lease(tmp_path: Path) -> None:
    with two_hosts(tmp_path, lease=600) as hosts:
        hosts.first.start()
        hosts.model.delay = 1.0
        [product] = start_on(hosts, hosts.first)
        hosts.first.kill()
        hosts.model.delay = 0.05
        hosts.first.start()
        assert hosts.wait_for_end(product, hosts.first, within=30)["status"] == "completed"
        folder = next(tmp_path.rglob("executors"))
        wait_until(lambda: len([*folder.glob("*.lock")]) == 1)
        assert len([*folder.glob("*.usage.jsonl")]) == 1


def test_a_host_that_stops_leaves_its_runs_to_others_at_once(tmp_path: Path) -> None:
    with two_hosts(tmp_path, lease=600) as hosts:
        hosts.first.start()
        hosts.model.delay = 1.0
        [product] = start_on(hosts, hosts.first)
        hosts.second.start()
        hosts.first.stop()
        hosts.model.delay = 0.05
        assert hosts.wait_for_end(product, hosts.second, within=30)["status"] == "completed"


def test_a_raised_version_leaves_no_run_behind_and_neither_does_the_way_back(tmp_path: Path) -> None:
    with two_hosts(tmp_path, lease=600, concurrency=1) as hosts:
        hosts.first.start(version="1")
        hosts.second.start(version="1")
        hosts.model.delay = 0.5
        for version in ("2", "1"):
            products = [hosts.submit(hosts.first) for _ in range(6)]
            for product in products[:2]:
                hosts.wait_for_calls(product, 2)
            for host in (hosts.first, hosts.second):
                host.restart(version)
                if host is hosts.first:
                    assert "no process executes version" not in host.output, "one lives that does"
            for product in products:
                run = hosts.wait_for_end(product, hosts.first)
                assert (run["status"], {step["status"] for step in run["steps"]}) == ("completed", {"success"})
                # Each of the two stops may have broken one call off.
                assert sum(hosts.model.calls(product).values()) <= STEPS + 2, "a finished step is not repeated"
        versions = hosts.rows("SELECT DISTINCT application_version FROM dbos.workflow_status")
        assert {version for (version,) in versions} <= {"1", "2"}


def test_one_idempotency_key_through_two_hosts_at_once_gives_one_run(tmp_path: Path) -> None:
    with two_hosts(tmp_path) as hosts:
        hosts.first.start()
        hosts.second.start()
        for number in range(10):
            body = {**BRIEF, "product": f"p-{number}."}
            with ThreadPoolExecutor(2) as pool:
                answers = pool.map(
                    lambda host: host.post("/api/v1/workflows/product_content/runs", body, f"key-{number}"),  # noqa: B023 - awaited here
                    (hosts.first, hosts.second),
                )
                ids = {answer.json()["run_id"] for answer in answers}
            assert len(ids) == 1
            [hosts.runs[f"p-{number}"]] = ids
        for product in hosts.runs:
            assert hosts.wait_for_end(product, hosts.second)["status"] == "completed"
            assert sum(hosts.model.calls(product).values()) == STEPS
