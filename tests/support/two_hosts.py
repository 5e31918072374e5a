"""Two hosts on one PostgreSQL with a scripted model, which knows what each of them has asked it, and for which run::

with two_hosts(directory, lease=4) as hosts:
    hosts.first.start()
    [product] = start_on(hosts, hosts.first)
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

import psycopg

from tests.support.hosts import Cluster, Host, open_cluster
from tests.support.in_process_studio import matching_reply
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, Tally
from tests.support.studio import BRIEF, ENDED
from tests.support.wait import wait_until

LEASE = 3.0
STEPS = 3  # of product_content, with a call of the model each


@dataclass
class Model:
    """The model's behaviour, and the requests that it has had, each by the host's name and the run's product."""

    delay: float = 0.05
    may_answer: Event | None = None
    requests: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, request: ChatRequest) -> Reply:
        host = request.headers.get("authorization", "").removeprefix("Bearer ")
        text = json.dumps(request.messages)
        self.requests.append((host, next((f"p-{n}" for n in range(100) if f"p-{n}." in text), "")))
        return replace(matching_reply(request), delay=self.delay, wait_for=self.may_answer)

    def calls(self, product: str) -> Counter[str]:
        """Return how many calls each host has made for a run."""
        return Counter(host for host, of in self.requests if of == product)


@dataclass
class TwoHosts:
    """Two hosts on one database, which asks a scripted model."""

    cluster: Cluster
    model: Model
    tally: Tally
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

        run: dict[str, Any] = wait_until(ended, within, every=0.1)
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
def two_hosts(directory: Path, **settings: object) -> Iterator[TwoHosts]:
    """Yield two hosts that are not started; what they print is shown with a failure."""
    model = Model()
    with (
        OpenAIServer(model) as server,
        open_cluster(
            directory, ("hosta", "hostb"), server.base_url, **{"lease": LEASE, "sweep_interval": 0.5, **settings}
        ) as cluster,
    ):
        try:
            yield TwoHosts(cluster, model, server.tally)
        finally:
            for host in cluster.hosts.values():
                print(f"{host.name}:\n{host.output}")  # noqa: T201  # shown with a failure


def start_on(hosts: TwoHosts, host: Host, product_count: int = 1) -> list[str]:
    """Start runs while one host alone is there, and return their products when each has called the model."""
    products = [hosts.submit(host) for _ in range(product_count)]
    for product in products:
        hosts.wait_for_calls(product, 1)
    return products
