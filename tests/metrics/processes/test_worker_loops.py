"""A worker loop and an exporter serve what they and others count, and end cleanly."""

from __future__ import annotations

import signal

import pytest

from metrics.__main__ import main
from tests.support.page_processes import PageFolder, answers, scrape, until_scraped
from tests.support.wait import wait_until

pytestmark = pytest.mark.slow


def test_a_loop_serves_its_numbers_and_ends_its_task_at_a_signal(
    programs: PageFolder, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with programs.started("-W", "error", "loop.py") as loop:
        wait_until(lambda: answers(port))
        wait_until(lambda: scrape(port)["tasks_total", "success", "poll"] >= 3)
        assert scrape(port)["workers",] == 1
        assert main(["doctor", f"http://127.0.0.1:{port}/metrics"]) == 0, capsys.readouterr()
        loop.send_signal(signal.SIGTERM)
        assert loop.wait(20) == 0
    assert (programs.path / "log").read_text() == ""
    assert not answers(port)
    with programs.started("exporter.py"):
        wait_until(lambda: answers(port))
        left = scrape(port)
        assert left["tasks_total", "success", "poll"] == left["tasks_started_total", "poll"]
        assert left["workers",] == 0


def test_an_exporter_serves_what_others_count_while_they_come_and_go(programs: PageFolder, port: int) -> None:
    with programs.started("exporter.py"):
        wait_until(lambda: answers(port))
        for number in (1, 2):
            programs.run("-c", "from work import square; square(2)")
            until_scraped(port, {("tasks_total", "success", "square"): number})
