"""Alerts on the real thing: a trouble happens to a studio, and the right alert arrives at a webhook, once, and ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.monitoring.alerted_life import Life, watched
from tests.monitoring.troubles import live

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("prometheus", "prometheus-alertmanager"),
    pytest.mark.timeout(600),
]

ROOT = Path(__file__).parents[2]
EXPECTED: dict[str, tuple[str, dict[str, str]]] = {
    "RunStuck": ("pages", {"workflow_type": "brand_identity"}),
    "ModelFails": ("pages", {"model": "gpt-4o-mini"}),
    "SpendsFast": ("pages", {"job": "sparklio-backend"}),
    "ListenerFails": ("tickets", {"signal": "workflow_finished", "receiver": "bill_customer"}),
    "ContextLost": ("tickets", {"reason": "provider_silent", "agent_name": "reviewer"}),
    "PoolRefuses": ("pages", {"pool": "main"}),
    "DatabaseFails": ("pages", {"phase": "connect", "error": "connect"}),
    "Down": ("pages", {"job": "sparklio-backend"}),
}
"""What has to arrive of the troubles: where, and about what."""

COMES_WITH = {
    "RunBudgetBurnsFast": "runs failed as the model and the database did, which users see",
    "RunBudgetBurnsSlowly": "the same, over all of so short a life",
    "HttpBudgetBurnsFast": "requests failed as the pool and the database did, which users see",
    "HttpBudgetBurnsSlowly": "the same, over all of so short a life",
    "AgentFails": "agents that ask the model fail with it",
    "PoolFull": "a pool that sends callers away is full; only what fires later than PoolRefuses is muted",
    "ComponentDown": "what cannot be used without the database; only what fires later than its page is muted",
    "ConnectionHeld": "the stuck run holds one, and on a slow machine for long",
    "EventLoopLags": "the machine has other things to do",
}
"""What may arrive with it, each with the reason."""


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Life]:
    with watched(tmp_path_factory.mktemp, free_port) as watching:
        live(watching)
        yield watching


@pytest.mark.parametrize("name", EXPECTED)
def test_the_right_alert_arrives_once_and_is_resolved(life: Life, name: str) -> None:
    """A scrape that fails ends an alert for a moment: it may arrive once more for each."""
    receiver, labels = EXPECTED[name]
    of_it = [
        each for each in life.arrived if each.name == f"Sparklio{name}" and labels.items() <= dict(each.labels).items()
    ]
    fired = {each.since for each in of_it if each.status == "firing"}
    assert 1 <= len(fired) <= 1 + life.failed_scrapes, of_it
    assert {each.since for each in of_it if each.status == "resolved"} == fired
    assert {each.receiver for each in of_it} == {receiver}


def test_nothing_fires_in_health_and_nothing_else_arrives(life: Life) -> None:
    assert life.healthy <= {"SparklioEventLoopLags"}
    names = {each.name.removeprefix("Sparklio") for each in life.webhook.notified}
    assert names - EXPECTED.keys() - COMES_WITH.keys() == set()


def test_whoever_is_on_call_can_read_what_arrives_and_finds_the_page(life: Life) -> None:
    for alert in life.webhook.notified:
        annotations = dict(alert.annotations)
        assert "<no value>" not in annotations["summary"]
        assert "{{" not in annotations["summary"]
        assert annotations["summary"].strip(": ")
        assert (ROOT / annotations["runbook_url"]).exists()
