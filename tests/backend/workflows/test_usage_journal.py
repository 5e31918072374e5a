"""What an attempt has spent is in a file until it is in the database."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.llm_usage import LLMUsage
from app.workflows import executor_locks, usage_journal
from app.workflows.journal_entries import AttemptUsage, Transition
from app.workflows.usage_journal import SUFFIX, UsageJournal, read_journal
from app.workflows.usage_recovery import store_usage_of_dead_processes

ATTEMPT = AttemptUsage(
    attempt_id="first",
    run_id="one",
    position=0,
    name="copywriter",
    agent_name="copywriter",
    started_at=datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    duration=1.5,
    usage=LLMUsage(1, 11, 7, 0.25),
)
MORE = replace(ATTEMPT, usage=LLMUsage(2, 22, 14, None))


def test_the_last_entry_of_each_attempt_is_read(tmp_path: Path) -> None:
    journal = UsageJournal(tmp_path, "host-0")
    other = replace(ATTEMPT, attempt_id="second")
    for attempt in (ATTEMPT, other, MORE):
        journal.record(attempt)
    assert read_journal(tmp_path / f"host-0{SUFFIX}") == [MORE, other]
    journal.close()


def test_what_is_in_the_database_is_no_longer_in_the_file(tmp_path: Path) -> None:
    journal = UsageJournal(tmp_path, "host-0")
    journal.record(ATTEMPT)
    journal.settle("first")
    assert read_journal(tmp_path / f"host-0{SUFFIX}") == []
    journal.record(MORE)
    assert read_journal(tmp_path / f"host-0{SUFFIX}") == [MORE]
    journal.close()


def test_a_file_of_attempts_without_a_pause_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_journal, "_MAX_SIZE", 2000)
    path = tmp_path / f"host-0{SUFFIX}"
    journal = UsageJournal(tmp_path, "host-0")
    journal.record(ATTEMPT)
    for number in range(50):
        journal.record(replace(ATTEMPT, attempt_id=str(number)))
        journal.settle(str(number))
        assert path.stat().st_size < 3000
    assert read_journal(path)[0] == ATTEMPT
    journal.close()


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / f"host-0{SUFFIX}"
    path.write_text(f"{ATTEMPT.to_json()}\n{MORE.to_json()[:-20]}")
    assert read_journal(path) == [ATTEMPT]
    path.write_text("null\n[]\n{}\n")
    assert read_journal(path) == []


def test_a_full_disk_disturbs_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = UsageJournal(tmp_path, "host-0")
    journal.close()
    journal._descriptor = os.open("/dev/full", os.O_WRONLY)
    journal.record(ATTEMPT)
    journal.record(MORE)
    assert len(caplog.records) == 1
    journal.close()


def test_entries_that_are_settled_are_not_read(tmp_path: Path) -> None:
    """A change of a run's row that is counted is not counted again, and the others are."""
    journal = UsageJournal(tmp_path, "host-0")
    start, end = (Transition(run_id="one", moment=ATTEMPT.started_at, status=status) for status in (None, "failed"))
    later = replace(end, moment=ATTEMPT.started_at + timedelta(seconds=1), error_name="TimeLimitPassed")
    for entry in (start, ATTEMPT, later):
        journal.record(entry)
    journal.settle(start.key)
    assert read_journal(tmp_path / f"host-0{SUFFIX}") == [ATTEMPT, later]
    journal.close()


async def test_the_journal_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    alive, own = executor_locks.acquire(tmp_path), executor_locks.acquire(tmp_path)
    journal = UsageJournal(tmp_path, alive.executor_id)
    journal.record(ATTEMPT)
    await store_usage_of_dead_processes(own, None)  # type: ignore[arg-type]  # it would fail
    assert read_journal(tmp_path / f"{alive.executor_id}{SUFFIX}") == [ATTEMPT]
    journal.close()
    alive.release()
    own.release()
