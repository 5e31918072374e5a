"""gunicorn's workers, forked before or after they subscribe, show the totals of all, and go on when one is replaced."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx
import pytest

from tests.support.page_processes import PageFolder, answers, scrape, until_scraped
from tests.support.wait import wait_until

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["loaded by each", "preloaded"])
def test_any_worker_shows_the_totals_of_all_and_of_those_that_were_killed(
    options: tuple[str, ...], programs: PageFolder, port: int
) -> None:
    words = ("-m", "gunicorn", "shop:app", "--workers", "2", "--worker-class", "uvicorn_worker.UvicornWorker")
    with programs.started(*words, *options, "--bind", f"127.0.0.1:{port}") as server:
        wait_until(lambda: answers(port))
        until_scraped(port, {("workers",): 2})
        for _ in range(10):
            assert httpx.post(f"http://127.0.0.1:{port}/tasks").status_code == 200
        for _ in range(6):
            shown = scrape(port)
            assert shown["tasks_total", "success", "request"] == 10
            assert shown["http_requests_total", "/tasks", "POST", "200"] == 10
        children = [int(pid) for pid in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()]
        os.kill(children[0], signal.SIGKILL)
        until_scraped(port, {("workers",): 2, ("workers_started_total",): 3})
        httpx.post(f"http://127.0.0.1:{port}/tasks")
        until_scraped(port, {("tasks_total", "success", "request"): 11})
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
    assert "Traceback" not in (programs.path / "log").read_text()
