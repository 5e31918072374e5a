"""The doctor's findings from scrapes. On real servers: see beside."""

from __future__ import annotations

import pytest
from prometheus_client.samples import Sample

from metrics.diagnostics import doctor
from metrics.diagnostics.doctor import findings
from metrics.diagnostics.scrape_client import ScrapeResult


def result(sent_at: float, date: float | None = None, **values: float) -> ScrapeResult:
    samples = tuple(Sample(name, {}, value) for name, value in values.items())
    return ScrapeResult(sent_at, sent_at + 0.1, date, samples)


def test_a_counter_that_goes_down_between_scrapes_means_workers_that_share_nothing() -> None:
    results = [result(1, a_total=5), result(2, a_total=3), result(3, a_total=5)]
    assert [finding.split(":")[0] for finding in findings(results)] == ["unshared_workers"]
    assert list(findings([result(1, a_total=5), result(2, a_total=5), result(3, a_total=6)])) == []


def test_a_servers_clock_is_compared_with_the_local_one() -> None:
    assert list(findings([result(1000, date=1000), result(1001, date=1000)])) == []
    [finding] = findings([result(1000, date=1010), result(1001, date=1011)])
    assert finding.startswith("clock: the server's is 10 s ahead of the one here")
    [finding] = findings([result(1000, date=990), result(1001, date=991)])
    assert finding.startswith("clock: the server's is 9 s behind the one here")
    assert list(findings([result(1000, date=990), result(1001, date=1001)])) == []  # the header was old, once
    last_event = {"sparklio_last_event_timestamp_seconds": 1100.0}
    [finding] = findings([result(1000, **last_event), result(1001, **last_event)])
    assert finding.startswith("clock:")


def test_faults_that_the_server_found_itself_are_reported() -> None:
    sample = Sample("sparklio_setup_faults_total", {"fault": "reload"}, 1)
    torn = Sample("sparklio_worker_file_faults_total", {"fault": "torn"}, 2)
    scraped = ScrapeResult(1, 2, None, (sample, torn))
    assert [finding.split(":")[0] for finding in findings([scraped, scraped])] == ["reload", "worker_files"]


def test_a_process_that_counts_alone_is_found_whichever_scrape_it_answers() -> None:
    """Its numbers differ from the others': not for want of a folder in common."""
    unshared = Sample("sparklio_workers_counting_alone", {}, 1)
    start, other = (Sample("process_start_time_seconds", {}, float(number)) for number in range(2))
    for last in ((start,), (other, unshared)):
        first = (other, unshared) if last == (start,) else (start,)
        [finding] = findings([ScrapeResult(1, 2, None, first), ScrapeResult(3, 4, None, last)])
        assert finding.startswith("worker_files: a process cannot use the folder for metrics")


def test_a_process_that_counted_alone_and_shares_again_is_no_finding() -> None:
    was = Sample("sparklio_worker_file_faults_total", {"fault": "unshared"}, 1)
    now = Sample("sparklio_workers_counting_alone", {}, 0)
    scraped = ScrapeResult(1, 2, None, (was, now))
    assert list(findings([scraped, scraped])) == []


def test_a_clock_that_is_off_by_no_more_than_the_tolerance_is_no_finding() -> None:
    assert list(findings([result(1000.0, date=1002.1)])) == []  # received at 1000.1
    assert len(list(findings([result(1000.0, date=1002.2)]))) == 1


@pytest.mark.parametrize(
    ("name", "compared"), [("a_total", True), ("a_count", True), ("a_bucket", True), ("a_sum", False), ("a", False)]
)
def test_only_what_never_decreases_is_compared(name: str, compared: bool) -> None:
    """And only with the first scrape, which had ended before the others began: those are concurrent."""
    assert doctor.counter_decreased((result(1, **{name: 5}), result(2, **{name: 4}))) is compared
    assert not doctor.counter_decreased((result(1, **{name: 5}), result(2, **{name: 7}), result(2, **{name: 6})))
    assert not doctor.counter_decreased((result(1), result(2, **{name: 0})))


def test_processes_are_told_apart_by_their_start() -> None:
    results = [result(1, process_start_time_seconds=10), result(2, process_start_time_seconds=11)]
    [finding] = findings([*results, results[0]])
    assert finding.startswith("unshared_workers: 2 processes answered")
    assert list(findings([results[0], results[0]])) == []


@pytest.mark.parametrize(("date", "scrapes"), [(None, 0), (100.0, 3)])
def test_a_date_is_awaited_until_it_changes_or_for_three_seconds(
    date: float | None, scrapes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    dates = [100.0, 100.0, 101.0, 101.0]

    def wait(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(doctor, "monotonic", lambda: now[0])
    monkeypatch.setattr(doctor, "sleep", wait)
    monkeypatch.setattr(doctor, "scrape_url", lambda *_: result(1, date=dates.pop(0)))
    assert [each.date for each in doctor.wait_for_new_date(date, "", {})] == [100.0, 100.0, 101.0][:scrapes]
    monkeypatch.setattr(doctor, "scrape_url", lambda *_: result(1, date=100.0))
    began = now[0]
    assert len(list(doctor.wait_for_new_date(100.0, "", {}))) == pytest.approx(60, abs=1)
    assert now[0] - began == pytest.approx(3, abs=0.06)
