"""An update plan can be printed: a line for each time series that an event updates."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from events import agent_finished, agent_run
from metrics import counter, gauge, histogram, in_flight, subscribe
from metrics.subscription.receiver import MetricsReceiver

HELP = "A test's own."
ROWS = (
    counter("runs_total", HELP, agent_finished, labels=("agent_name", "status")),
    histogram("run_seconds", HELP, agent_finished, value="duration", buckets=(1, 5)),
    gauge("last_llm_calls", HELP, agent_finished, value="llm_calls"),
    in_flight("running", HELP, agent_run),
)
PLAN = """\
acme_runs_total{a, success} += 1
acme_run_seconds takes duration, 0.0 to 1000000000.0
acme_last_llm_calls is set
acme_running counts open spans"""


def test_a_plan_prints_a_line_for_each_series() -> None:
    with subscribe(ROWS, CollectorRegistry(), namespace="acme"):
        [receiver] = agent_finished.receivers.values()
        assert isinstance(receiver, MetricsReceiver)
        plan, overflows = receiver.plan({"agent_name": "a", "status": "success"})
    assert str(plan) == PLAN
    assert not overflows
