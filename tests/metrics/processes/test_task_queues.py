"""Workers of Celery, arq and dramatiq on a real Redis count each attempt at a task once, replaced or not."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.page_processes import PageFolder, Samples, scrape, until_scraped
from tests.support.wait import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.queues("celery"), pytest.mark.needs("redis-server")]

EXPECTED: Samples = {
    ("tasks_total", "success", "add"): 20,
    ("tasks_total", "error", "add"): 0,
    ("tasks_started_total", "add"): 20,
    ("task_duration_seconds_count", "add"): 20,
    ("tasks_total", "retried", "fetch"): 1,
    ("tasks_total", "success", "fetch"): 1,
    ("tasks_started_total", "fetch"): 2,
    ("active_tasks", "add"): 0,
    ("active_tasks", "fetch"): 0,
}
"""What twenty tasks that succeed and one that is tried again give."""
TWICE = {key: 2 * value for key, value in EXPECTED.items()}


@pytest.fixture
def queue(programs: PageFolder, tmp_path: Path, free_port: Callable[[], int]) -> Iterator[PageFolder]:
    """Return the programs, with a Redis of their own."""
    port = free_port()
    words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    with (tmp_path / "redis.log").open("w") as output, subprocess.Popen(words, stdout=output) as server:
        try:
            wait_until(lambda: "Ready to accept connections" in (tmp_path / "redis.log").read_text())
            environment = {**programs.environment, "REDIS": f"redis://127.0.0.1:{port}/0"}
            yield PageFolder(programs.path, environment)
        finally:
            server.terminate()


def children_of(pid: int) -> list[int]:
    """Return the ids of a process's children."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


CELERY = """
from celery_tasks import add, fetch
for number in range(20):
    add.delay(number, 1)
fetch.delay("http://a")
"""


def test_the_children_of_celery_count_each_attempt_once_also_after_one_was_replaced(
    queue: PageFolder, port: int
) -> None:
    words = ("-m", "celery", "--app", "celery_tasks", "worker", "--pool", "prefork", "--concurrency", "2")
    with queue.started(*words, "--max-tasks-per-child", "15") as worker:
        until_scraped(port, {("tasks_total", "success", "add"): 0, ("workers",): 2})
        queue.run("-c", CELERY, stderr=None)
        until_scraped(port, EXPECTED)
        os.kill(children_of(worker.pid)[-1], signal.SIGKILL)
        queue.run("-c", CELERY, stderr=None)
        until_scraped(port, {**TWICE, ("workers",): 2})
        worker.terminate()
        assert worker.wait(30) == 0
    assert "Traceback" not in (queue.path / "log").read_text()
    with queue.started("exporter.py"):  # at once, on the same port
        until_scraped(port, {("tasks_total", "success", "add"): 40})


LISTENING = """
import time
from celery.signals import worker_process_shutdown
from celery_tasks import app
from counting import task_finished
from sparklio.events import background

def write(event):
    time.sleep(0.15)
    with open("heard", "a") as file:
        file.write(event.task)

listener = background(write)
task_finished.connect(listener)
"""
CLOSED = """
@worker_process_shutdown.connect
def close(**_):
    listener.close()
"""


def test_a_background_listener_in_a_child_of_celery_is_passed_all_if_it_is_closed_there(
    queue: PageFolder, port: int
) -> None:
    (queue.path / "listening.py").write_text(LISTENING + CLOSED)
    words = ("-m", "celery", "--app", "listening", "worker", "--pool", "prefork", "--concurrency", "1")
    with queue.started(*words) as worker:
        queue.run("-c", CELERY, stderr=None)
        until_scraped(port, EXPECTED)
        worker.terminate()
        assert worker.wait(30) == 0
    heard = (queue.path / "heard").read_text()
    assert (heard.count("add"), heard.count("fetch")) == (20, 2)


def test_a_solo_worker_of_celery_counts_and_serves(queue: PageFolder, port: int) -> None:
    with queue.started("-m", "celery", "--app", "celery_tasks", "worker", "--pool", "solo") as worker:
        queue.run("-c", CELERY, stderr=None)
        until_scraped(port, {**EXPECTED, ("workers",): 1})
        worker.terminate()
        assert worker.wait(30) == 0


ARQ = """
import asyncio
from arq import create_pool
from arq_tasks import WorkerSettings

async def main():
    pool = await create_pool(WorkerSettings.redis_settings)
    for number in range(20):
        await pool.enqueue_job("add", number, 1)
    await pool.enqueue_job("fetch", "http://a")
    await pool.aclose()

asyncio.run(main())
"""


def test_workers_of_arq_count_each_attempt_once_and_another_process_serves(queue: PageFolder, port: int) -> None:
    words = ("-m", "arq", "arq_tasks.WorkerSettings")
    with queue.started("exporter.py"):
        with queue.started(*words) as first, queue.started(*words):
            until_scraped(port, {("workers",): 2})
            queue.run("-c", ARQ, stderr=None)
            until_scraped(port, EXPECTED)
            first.kill()
            first.wait()
            queue.run("-c", ARQ, stderr=None)
            until_scraped(port, {**TWICE, ("workers",): 1})
        assert scrape(port)["tasks_total", "success", "add"] == 40


DRAMATIQ = """
from dramatiq_tasks import add, fetch
for number in range(20):
    add.send(number, 1)
fetch.send("http://a")
"""


def test_processes_of_dramatiq_count_each_attempt_once_also_after_they_were_started_again(
    queue: PageFolder, port: int
) -> None:
    words = ("-m", "dramatiq", "dramatiq_tasks", "--processes", "2", "--threads", "2")
    with queue.started("exporter.py"):
        with queue.started(*words) as worker:
            until_scraped(port, {("workers",): 2})
            queue.run("-c", DRAMATIQ, stderr=None)
            until_scraped(port, EXPECTED)
            os.kill(children_of(worker.pid)[-1], signal.SIGKILL)
            worker.wait(30)
        with queue.started(*words):
            queue.run("-c", DRAMATIQ, stderr=None)
            until_scraped(port, TWICE)
