"""The doctor's findings from scrapes. On real servers: see beside."""

from __future__ import annotations

from prometheus_client.samples import Sample

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


def test_a_clock_that_is_off_by_no_more_than_the_tolerance_is_no_finding() -> None:
    assert list(findings([result(1000.0, date=1002.1)])) == []  # received at 1000.1
    assert len(list(findings([result(1000.0, date=1002.2)]))) == 1
