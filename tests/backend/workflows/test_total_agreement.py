"""Processes that differ about how many runs all of them execute at once say so, once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.database.repositories.executors import ExecutorState
from app.workflows.total_agreement import TotalAgreement
from tests.support.studio import StudioProcess
from tests.support.wait import wait_until


def executor(total: int | None, *, concurrency: int = 2, age: float = 1.0, is_stopped: bool = False) -> ExecutorState:
    return ExecutorState(
        id="other",
        version="1",
        concurrency=concurrency,
        total_concurrency=total,
        beat_at=datetime.now(UTC),
        lease_seconds=15.0,
        is_stopped=is_stopped,
        age=age,
    )


def nobody_is_gone(_executor_id: str) -> bool:
    return False


def test_a_difference_is_logged_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "app.workflows")
    agreement = TotalAgreement(4)
    for others in ([], [executor(4)], [executor(5)], [executor(5)], [executor(5), executor(None)], [executor(4)], []):
        agreement.compare(others, nobody_is_gone)
    assert [(record.levelname, record.getMessage().partition(":")[0]) for record in caplog.records] == [
        ("WARNING", "SPARKLIO_TOTAL_CONCURRENCY is 4 here and 5 in other processes of this database"),
        ("WARNING", "SPARKLIO_TOTAL_CONCURRENCY is 4 here and 5 or unset in other processes of this database"),
        ("INFO", "SPARKLIO_TOTAL_CONCURRENCY is the same in all processes again"),
    ]


def test_a_difference_lasts_until_those_that_are_silent_are_judged(caplog: pytest.LogCaptureFixture) -> None:
    """After an outage of the database all leases have lapsed for a moment."""
    caplog.set_level(logging.INFO, "app.workflows")
    agreement = TotalAgreement(4)
    for _ in range(2):
        agreement.compare([executor(5)], nobody_is_gone)
        agreement.compare([executor(5, age=60.0)], nobody_is_gone)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    agreement.compare([executor(5, age=60.0)], lambda _: True)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


@pytest.mark.parametrize(
    "other", [executor(5, age=15.1), executor(5, is_stopped=True), executor(5, concurrency=0), executor(None)]
)
def test_processes_that_are_gone_or_execute_nothing_do_not_matter(
    other: ExecutorState, caplog: pytest.LogCaptureFixture
) -> None:
    TotalAgreement(None).compare([other], lambda _: other.is_stopped)
    assert caplog.messages == []


@pytest.mark.slow
def test_hosts_that_differ_log_it_once(
    tmp_path: Path, free_port: Callable[[], int], new_postgres: Callable[[], str]
) -> None:
    """An API executes nothing, so its own total is nobody's business."""
    url = new_postgres()
    word = "SPARKLIO_TOTAL_CONCURRENCY is"

    def new_studio(**settings: object) -> StudioProcess:
        directory = tmp_path / str(port := free_port())
        directory.mkdir()
        given = {
            "database_url": url,
            "llm": "openai:any",
            "llm_base_url": "http://127.0.0.1:9/v1",
            "sweep_interval": 0.2,
        }
        return StudioProcess(directory, port, **given, **settings)

    def said(studio: StudioProcess) -> list[str]:
        return [line.partition(word)[2].partition(":")[0] for line in studio.lines if word in line]

    def sweep(studio: StudioProcess) -> None:
        before = studio.total("events_total", signal="workflow_queue_read")
        wait_until(lambda: studio.total("events_total", signal="workflow_queue_read") >= before + 12)

    with new_studio(total_concurrency=3) as first, new_studio(role="api") as serving:
        sweep(first)
        assert said(first) == said(serving) == []
        with new_studio(total_concurrency=5) as second:
            sweep(first)
            sweep(second)
            assert said(first) == [" 3 here and 5 in other processes of this database"]
            assert said(second) == [" 5 here and 3 in other processes of this database"]
        wait_until(lambda: len(said(first)) == 2)
        assert said(first)[1] == " the same in all processes again\n"
        assert said(serving) == []
