"""Hosts that share a database take over what another one has left, and nothing of one that lives."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psycopg
import pytest

from tests.support.hosts import Cluster, Host, open_cluster
from tests.support.in_process_studio import matching_reply
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply
from tests.support.studio import BRIEF, ENDED
from tests.support.wait import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LEASE = 3.0
STEPS = 3  # of product_content, with a call of the model each


@dataclass
class Model:
    """The model's behaviour, and the requests that it has had, each by the host's name and the run's product."""

    delay: float = 0.05
    requests: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, request: ChatRequest) -> Reply:
        host = request.headers.get("authorization", "").removeprefix("Bearer ")
        text = json.dumps(request.messages)
        self.requests.append((host, next((f"p-{n}" for n in range(100) if f"p-{n}." in text), "")))
        return replace(matching_reply(request), delay=self.delay)

    def calls(self, product: str) -> Counter[str]:
        """Return how many calls each host has made for a run."""
        return Counter(host for host, of in self.requests if of == product)


@dataclass
class Scene:
    """Two hosts on one database, which asks a scripted model."""

    cluster: Cluster
    model: Model
    runs: dict[str, str] = field(default_factory=dict)

    @property
    def first(self) -> Host:
        return self.cluster.hosts["hosta"]

    @property
    def second(self) -> Host:
        return self.cluster.hosts["hostb"]

    def submit(self, host: Host, key: str = "") -> str:
        """Start a run through a host, and return its product."""
        product = f"p-{len(self.runs)}"
        body = {**BRIEF, "product": f"{product}."}
        answer = host.post("/api/v1/workflows/product_content/runs", body, key)
        assert answer.status_code == 202, answer.text
        self.runs[product] = answer.json()["run_id"]
        return product

    def run(self, product: str, host: Host) -> dict[str, Any]:
        found: dict[str, Any] = host.get(f"/api/v1/runs/{self.runs[product]}").json()
        return found

    def wait_for_end(self, product: str, host: Host, within: float = 60.0) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            run = self.run(product, host)
            return run if run["status"] in ENDED else None

        run: dict[str, Any] = wait_until(ended, within)
        return run

    def rows(self, statement: str) -> list[Any]:
        with psycopg.connect(self.cluster.database_url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def holder(self, product: str) -> str:
        """Return the name of the host that has claimed a run; "" if none has."""
        found = self.rows(
            f"SELECT executor_id FROM dbos.workflow_status WHERE status = 'PENDING'"
            f" AND workflow_uuid = '{self.runs[product]}'"
        )
        return str(found[0][0]).partition("-")[0] if found else ""

    def wait_for_calls(self, product: str, count: int) -> None:
        wait_until(lambda: sum(self.model.calls(product).values()) >= count)


@contextmanager
def scene(directory: Path, **settings: object) -> Iterator[Scene]:
    model = Model()
    with (
        OpenAIServer(model) as server,
        open_cluster(
            directory, ("hosta", "hostb"), server.base_url, **{"lease": LEASE, "sweep_interval": 0.5, **settings}
        ) as cluster,
    ):
        try:
            yield Scene(cluster, model)
        finally:
            for host in cluster.hosts.values():
                print(f"{host.name}:\n{host.output}")  # noqa: T201  # shown with a failure


def start_on(scene: Scene, host: Host, product_count: int = 1) -> list[str]:
    """Start runs while one host alone is there, and return their products when each has called the model."""
    products = [scene.submit(host) for _ in range(product_count)]
    for product in products:
        scene.wait_for_calls(product, 1)
    return products


def test_a_suspended_host_loses_its_runs_and_goes_on_without_them(tmp_path: Path) -> None:
    with scene(tmp_path) as hosts:
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
    with scene(tmp_path) as hosts:
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
    with scene(tmp_path) as hosts:
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
    with scene(tmp_path) as hosts:
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
    with scene(tmp_path, lease=600) as hosts:
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
    with scene(tmp_path, lease=600) as hosts:
        hosts.first.start()
        hosts.model.delay = 1.0
        [product] = start_on(hosts, hosts.first)
        hosts.second.start()
        hosts.first.stop()
        hosts.model.delay = 0.05
        assert hosts.wait_for_end(product, hosts.second, within=30)["status"] == "completed"


def test_a_raised_version_leaves_no_run_behind_and_neither_does_the_way_back(tmp_path: Path) -> None:
    with scene(tmp_path, lease=600, concurrency=1) as hosts:
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


def test_a_run_is_cancelled_through_another_host_whatever_its_step_does(tmp_path: Path) -> None:
    with scene(tmp_path, concurrency=4) as hosts:
        hosts.first.start()
        hosts.second.start()
        hosts.model.delay = 1.0
        took = []
        for number in range(20):
            product = hosts.submit(hosts.first)
            hosts.wait_for_calls(product, 1)
            other = hosts.second if hosts.holder(product) == "hosta" else hosts.first
            sleep(0.1 * (number % 11))  # the moment of the cancellation, not a wait for something
            began = monotonic()
            answer = other.post(f"/api/v1/runs/{hosts.runs[product]}/cancel", within=20)
            took.append(monotonic() - began)
            assert answer.status_code in {200, 202}, answer.text
            assert (
                hosts.run(product, hosts.first)["status"] == hosts.run(product, hosts.second)["status"] == "cancelled"
            )
        # Two seconds on a machine that has nothing else to do; for a holder that does not end it, it would be ten.
        assert max(took) < 6, took
        assert "taken over" not in hosts.first.output + hosts.second.output


def test_one_idempotency_key_through_two_hosts_at_once_gives_one_run(tmp_path: Path) -> None:
    with scene(tmp_path) as hosts:
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
