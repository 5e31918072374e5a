"""Large registries, for the benchmarks that render them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram

from events import agent_run, http_request_finished, llm_called, query_executed, workflow_finished, workflow_started
from metrics import CATALOGUE, subscribe

SAMPLES = 100_000
LABELS = ("method", "endpoint")


def label_values(number: int) -> tuple[str, str]:
    """Return label values such as those of an HTTP family."""
    return "GET", f"/api/v1/things/{number}/parts"


def histograms(registry: CollectorRegistry, samples: int = SAMPLES) -> Histogram:
    """Register and return a histogram of 15 buckets a child, each child observed eight times."""
    family = Histogram("http_request_duration_seconds", "Time.", LABELS, registry=registry)
    for number in range(samples // 18):  # with count, sum and created
        child = family.labels(*label_values(number))
        for _ in range(8):
            child.observe(random.random() * 8)
    return family


def counters(registry: CollectorRegistry, samples: int = SAMPLES) -> Counter:
    """Register and return a counter whose children have fractional values."""
    family = Counter("llm_cost_usd_total", "Cost.", LABELS, registry=registry)
    for number in range(samples // 2):  # with created
        family.labels(*label_values(number)).inc(random.random())
    return family


TABLES = ("runs", "steps", "attempts", "brands", "audit_events", "executors")
WORKFLOWS = ("product_content", "brand_identity", "content_review", "campaign")
AGENTS = ("copywriter", "reviewer", "optimizer", "strategist", "designer")


@contextmanager
def studio(registry: CollectorRegistry) -> Iterator[Callable[[], None]]:
    """Register the catalogue as a studio has it that has run its workflows; yield what happens between two scrapes."""
    with subscribe(CATALOGUE, registry, namespace="studio"):
        for table in TABLES:
            for operation in ("select", "insert", "update"):
                query_executed.emit(operation=operation, table=table, duration=random.random() / 100)
        for agent in AGENTS:
            with agent_run(agent_name=agent, task="write"):
                llm_called.emit(
                    model="small",
                    provider="own",
                    status="success",
                    duration=0.5,
                    prompt_tokens=90,
                    completion_tokens=50,
                )
        for workflow in WORKFLOWS:
            workflow_started.emit(run_id=workflow, workflow_type=workflow, queue_wait=0.1)
            workflow_finished.emit(run_id=workflow, workflow_type=workflow, status="completed", duration=7.0)

        def live_on() -> None:
            query_executed.emit(operation="select", table="runs", duration=random.random() / 100)
            http_request_finished.emit(
                method="GET", endpoint="/health/ready", status_code=200, outcome="ok", duration=random.random() / 100
            )

        yield live_on
