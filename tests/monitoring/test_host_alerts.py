"""Alerts on hosts on the real thing: runs that no process takes over, and runs that no process is there for."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pytest

from tests.support.alertmanager import Notified, Webhook, alertmanager
from tests.support.in_process_studio import matching_reply
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply
from tests.support.postgresql import create_database, running_postgresql
from tests.support.prometheus import Prometheus, running_prometheus
from tests.support.studio import StudioProcess
from tests.support.wait import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("prometheus", "prometheus-alertmanager"),
    pytest.mark.timeout(400),
]

FASTER = 60
WITHIN = 90.0  # seconds that each step may take on a machine that has other things to do
REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
CREATE TRIGGER refuse BEFORE UPDATE OR DELETE ON dbos.workflow_status FOR EACH ROW
WHEN (OLD.status = 'PENDING') EXECUTE FUNCTION refuse()"""
ALLOW = "DROP TRIGGER refuse ON dbos.workflow_status"


@dataclass
class Hosts:
    """One studio that serves the API, those that perform its runs, and what arrives of alerts on them."""

    make: Callable[[str], StudioProcess]
    database: str
    webhook: Webhook
    prometheus: Prometheus
    gate: Event

    @contextmanager
    def worker(self) -> Iterator[StudioProcess]:
        """Run one that performs runs, while the block runs at most."""
        with self.make("worker") as worker:
            yield worker

    def execute(self, statements: str) -> None:
        """Execute statements in the database of all."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            connection.execute(statements.encode())

    def heard(self, name: str, status: str) -> list[Notified]:
        """Return what arrived of an alert."""
        return [each for each in self.webhook.notified if (each.name, each.status) == (f"Sparklio{name}", status)]

    def until(self, name: str, status: str) -> Notified:
        """Wait until an alert was heard of, and return it."""
        wait_until(lambda: self.heard(name, status), WITHIN)
        return self.heard(name, status)[-1]

    def until_value(self, expression: str, value: float) -> None:
        """Wait until an expression has a value."""
        wait_until(lambda: self.prometheus.query(expression).get(()) == value, WITHIN, every=0.1)


@pytest.fixture
def hosts(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[tuple[Hosts, StudioProcess]]:
    gate = Event()

    def reply(request: ChatRequest) -> Reply:
        return replace(matching_reply(request), wait_for=gate)

    with ExitStack() as stack:
        database = create_database(stack.enter_context(running_postgresql()))
        model = stack.enter_context(OpenAIServer(reply))
        webhook = stack.enter_context(Webhook())
        stack.callback(gate.set)

        def make(role: str) -> StudioProcess:
            port = free_port()
            directory = tmp_path / f"{role}-{port}"
            directory.mkdir()
            given: dict[str, Any] = {"llm": "openai:scripted", "llm_base_url": model.base_url, "database_url": database}
            return StudioProcess(directory, port, role=role, sweep_interval=0.5, lease=3, **given)

        api = stack.enter_context(make("api"))
        folder = tmp_path / "monitoring"
        for name in ("alertmanager", "prometheus"):
            (folder / name).mkdir(parents=True)
        router_port = free_port()
        stack.enter_context(alertmanager(folder / "alertmanager", router_port, webhook.port, FASTER))
        target = f"{api.url}/metrics"
        prometheus = stack.enter_context(
            running_prometheus(folder / "prometheus", free_port(), target, faster=FASTER, alertmanager=router_port)
        )
        yield Hosts(make, database, webhook, prometheus, gate), api


def test_runs_that_nobody_takes_over_and_runs_that_nobody_is_there_for_wake_somebody_until_it_is_over(
    hosts: tuple[Hosts, StudioProcess],
) -> None:
    these, api = hosts
    with these.worker() as first:
        run_id = api.submit("product_content", brand="Acme")
        wait_until(lambda: first.total("llm_active_requests"), WITHIN)
        with these.worker() as second:
            these.until_value("max(sparklio_workflow_executors)", 2)
            these.execute(REFUSE)
            first.stop(signal.SIGKILL)
            page = these.until("RunsWithoutHolder", "firing")
            assert (page.receiver, dict(page.labels)["status"]) == ("pages", "running")
            these.execute(ALLOW)
            these.gate.set()
            assert api.wait_for_end(run_id, within=WITHIN)["status"] == "completed"
            these.until("RunsWithoutHolder", "resolved")
            assert these.heard("NoExecutor", "firing") == []
            second.stop(signal.SIGKILL)
    these.until_value("max(sparklio_workflow_executors)", 0)
    arrived = len(these.heard("RunsWithoutHolder", "firing"))
    run_id = api.submit("product_content", brand="Acme")
    assert these.until("NoExecutor", "firing").receiver == "pages"
    with these.worker():
        assert api.wait_for_end(run_id, within=WITHIN)["status"] == "completed"
        these.until("NoExecutor", "resolved")
    assert len(these.heard("RunsWithoutHolder", "firing")) == arrived
