"""The troubles that happen to a studio, one after another and some at once, until the alert on each has arrived."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import httpx
import psycopg

from tests.monitoring.alerted_life import Life
from tests.support import studio_with_faults
from tests.support.studio import WORKFLOWS
from tests.support.wait import wait_until

WORDS = "music and quiet on one charge for those who travel far and listen long, " * 2
LONG = {"product": WORDS, "audience": WORDS, "features": [f"{number} hours of {WORDS}"[:100] for number in range(9)]}
CONNECTIONS = 15
"""As many as the studio's pool lends at once: SQLAlchemy's five, and ten that overflow."""


def live(life: Life) -> None:
    """Lead the studio through health and all of its troubles, until the last of them is over."""
    failed_before = life.count_failed_scrapes()
    health(life)
    with stuck_run(life):
        model_down(life)
        cost_truncation_and_failing_listener(life)
        life.until_these_arrive("RunStuck")
    pool_exhausted(life)
    database_away(life)
    life.until_all_is_over()
    life.failed_scrapes = life.count_failed_scrapes() - failed_before
    process_down(life)


def health(life: Life) -> None:
    """A run of each workflow."""
    for run_id in [life.studio.submit(workflow, brand="Acme") for workflow in WORKFLOWS]:
        life.studio.wait_for_end(run_id)
    life.prometheus.wait_for_scrapes(3)
    life.healthy = life.firing()


@contextmanager
def stuck_run(life: Life) -> Iterator[None]:
    """Another program locks the row of a run, whose end cannot be stored when it passes its time limit."""
    run_id = life.studio.submit("brand_identity", brand="Stuck")
    wait_until(lambda: life.studio.total("llm_active_requests"))
    with psycopg.connect(life.database) as other:
        other.execute("SELECT 1 FROM runs WHERE id = %s FOR UPDATE", [run_id])
        yield
        other.rollback()
    life.script.gate.set()
    life.studio.wait_for_end(run_id)


def model_down(life: Life) -> None:
    """Every call of the model fails, run after run."""
    life.script.down = True

    def run() -> None:
        for _ in range(3):
            life.submit("campaign", "Acme")

    life.until_these_arrive("ModelFails", doing=run)
    life.script.down = False


def cost_truncation_and_failing_listener(life: Life) -> None:
    """Runs are dear, prompts are cut without a word, and a listener fails whenever a run ends."""
    flag = life.studio.directory / studio_with_faults.FAILS
    flag.touch()

    def run() -> None:
        life.submit("product_content", "Dear")
        if not life.has_arrived("ContextLost"):
            life.submit("content_review", "Truncated", **LONG)

    life.until_these_arrive("ContextLost", "ListenerFails", "SpendsFast", doing=run)
    flag.unlink()
    wait_until(lambda: life.studio.total("active_workflows") == 1 and not life.studio.total("workflows_queued"))


def pool_exhausted(life: Life) -> None:
    """Another program locks a table; those who wait for it hold all connections, and others are sent away."""

    def ask() -> None:
        with suppress(httpx.HTTPError):
            life.studio.call("GET", "/api/v1/brands")

    with ThreadPoolExecutor(CONNECTIONS + 5) as pool, psycopg.connect(life.database) as other:
        other.execute("LOCK TABLE brands IN ACCESS EXCLUSIVE MODE")
        for _ in range(CONNECTIONS + 5):
            pool.submit(ask)
        life.until_these_arrive("PoolRefuses", doing=lambda: pool.submit(ask))
        life.until_muted("PoolFull", doing=lambda: pool.submit(ask))
        other.rollback()


def database_away(life: Life) -> None:
    """The database server is stopped, and started again."""
    life.server.stop()
    try:
        life.until_these_arrive("DatabaseFails", doing=lambda: life.submit("campaign", "Acme"))
        life.until_muted("ComponentDown")
    finally:
        life.server.start()


def process_down(life: Life) -> None:
    """The studio is killed, and started again after a while."""
    life.studio.stop(signal.SIGKILL)
    life.until_these_arrive("Down")
    with life.again:
        life.until_all_is_over()
