"""What an attempt has spent is in a file until it is in the database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url

from app.llm_usage import LLMUsage
from app.workflows import executor_locks, usage_journal
from app.workflows.journal_entries import AttemptUsage, Transition
from app.workflows.leases import Lease
from app.workflows.liveness import Liveness
from app.workflows.usage_journal import SUFFIX, UsageJournal, mark_settled, read_journal
from app.workflows.usage_recovery import store_usage_of_dead_processes
from tools.chaos.small_disk import filled, small_disk

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
PAGE = 4096  # bytes, of which a file on the small disk has whole ones


@pytest.fixture
def disk() -> Iterator[Path]:
    """A disk that can be full."""
    with small_disk("1m") as directory:
        if directory is None:
            pytest.skip("mounting a disk takes root")
        yield directory


def numbered(number: int) -> AttemptUsage:
    return replace(ATTEMPT, attempt_id=f"a{number:06}", usage=LLMUsage(1, number, number, None))


def test_the_last_entry_of_each_attempt_is_read(tmp_path: Path) -> None:
    journal = UsageJournal(tmp_path, "host-0")
    other = replace(ATTEMPT, attempt_id="second")
    for attempt in (ATTEMPT, other, MORE):
        journal.record(attempt)
    assert read_journal(tmp_path / f"host-0{SUFFIX}") == [other, MORE]
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


def test_a_rewrite_that_does_not_fit_on_the_disk_leaves_the_file(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = disk / f"host-0{SUFFIX}"
    journal = UsageJournal(disk, "host-0")
    open_entries = [numbered(1), numbered(2)]
    for entry in open_entries:
        journal.record(entry)
    monkeypatch.setattr(usage_journal, "_MAX_SIZE", 2 * PAGE)
    passing = [numbered(number) for number in range(10, 60)]
    for entry in passing:
        journal.record(entry)
    assert path.stat().st_size > 2 * PAGE
    with filled(disk):
        for entry in passing:
            journal.settle(entry.key)
        assert read_journal(path) == open_entries
        assert not path.with_suffix(".new").exists()
    journal.record(numbered(3))
    journal.settle(numbered(1).key)
    assert read_journal(path) == [numbered(2), numbered(3)]
    assert path.stat().st_size < PAGE, "it was not rewritten once there was room"
    journal.close()


@pytest.mark.parametrize("room", [1, 40, 200])
def test_a_line_that_fits_on_the_disk_in_part_is_written_once_there_is_room(disk: Path, room: int) -> None:
    path = disk / f"host-0{SUFFIX}"
    journal = UsageJournal(disk, "host-0")
    journal.record(numbered(0))
    length = path.stat().st_size
    # With names of another length the file ends so many bytes before the end of a page.
    journal.record(replace(numbered(1), name="n" * (PAGE - room - 2 * length + len(ATTEMPT.name))))
    assert path.stat().st_size == PAGE - room
    with filled(disk):
        journal.record(numbered(2))
        journal.settle(numbered(1).key)
        assert read_journal(path) == [numbered(0)]
        assert path.stat().st_size == PAGE - room, "part of a line is left"
    journal.record(numbered(3))
    assert read_journal(path) == [numbered(0), numbered(2), numbered(3)]
    journal.close()


def test_what_a_full_disk_kept_out_is_written_when_another_entry_is_settled(
    disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    path = disk / f"host-0{SUFFIX}"
    journal = UsageJournal(disk, "host-0")
    with filled(disk):
        journal.record(numbered(1))
        journal.record(numbered(2))
        assert read_journal(path) == []
    journal.settle(numbered(1).key)
    assert read_journal(path) == [numbered(2)]
    [full, free] = [record.getMessage() for record in caplog.records]
    assert f"{path} cannot be written: No space left on device" in full
    assert "can be written again" in free
    journal.close()


def test_a_newer_entry_that_does_not_fit_leaves_the_one_before(disk: Path) -> None:
    path = disk / f"host-0{SUFFIX}"
    journal = UsageJournal(disk, "host-0")
    journal.record(numbered(0))
    journal.record(ATTEMPT)
    with filled(disk):
        journal.record(replace(MORE, name="n" * PAGE))
        assert read_journal(path) == [numbered(0), ATTEMPT]
        journal.settle(ATTEMPT.key)
        assert read_journal(path) == [numbered(0)]
    journal.close()


def test_a_recovery_on_a_full_disk_marks_what_it_has_stored(disk: Path) -> None:
    """Otherwise a second one would count the same again."""
    path = disk / f"host-0{SUFFIX}"
    journal = UsageJournal(disk, "host-0")
    for entry in (ATTEMPT, numbered(1), numbered(2)):
        journal.record(entry)
    journal.close()
    with filled(disk):
        mark_settled(path, numbered(1).key)
        assert read_journal(path) == [ATTEMPT, numbered(2)]


def test_a_line_after_one_that_was_cut_off_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / f"host-0{SUFFIX}"
    path.write_text(f"{ATTEMPT.to_json()}\n{MORE.to_json()[:-20]}")
    journal = UsageJournal(tmp_path, "host-0")
    journal.record(numbered(1))
    assert read_journal(path) == [ATTEMPT, numbered(1)]
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
    liveness = Liveness(None, own, Lease(make_url("sqlite://"), 15.0))  # type: ignore[arg-type]  # it reads nothing
    await store_usage_of_dead_processes(liveness, None)  # type: ignore[arg-type]  # it would fail
    assert read_journal(tmp_path / f"{alive.executor_id}{SUFFIX}") == [ATTEMPT]
    journal.close()
    alive.release()
    own.release()
