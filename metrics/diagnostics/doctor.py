"""``python -m metrics doctor``: scrape a running server many times, report what is wrong, and name each way out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic, sleep

from events.pipeline import SetupFault

from .deployment import ADVICE, clock_differs
from .scrape_client import ScrapeResult, scrape_url

SCRAPES = 24
CONCURRENT_SCRAPES = 8  # so that more than one worker answers
_DATE_RESOLUTION = 1.0  # seconds: the header Date holds whole ones
_DATE_RENEWAL_TIMEOUT = 3.0  # seconds; uvicorn renews the header once a second, later where it is busy


SETUP_FAULTS = "_setup_faults_total"
"""The end of the name of the family in which a server shows what it found itself."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The findings about the numbers of a server: what is wrong, each with its way out.

    ``sees_setup`` is whether the server shows what it found itself at its start.
    """

    findings: tuple[str, ...]
    sees_setup: bool


def diagnose(url: str, headers: Mapping[str, str], advice: Mapping[SetupFault, str] = ADVICE) -> Diagnosis:
    """Return everything that is wrong with the numbers at a URL.

    Args:
        url: Where its metrics are.
        headers: Sent along.
        advice: What to do about a fault in the way that a server was started.

    Raises:
        Unreachable: there are no metrics to read.
    """
    first = scrape_url(url, headers)
    with ThreadPoolExecutor(CONCURRENT_SCRAPES) as threads:
        concurrent = threads.map(lambda _: scrape_url(url, headers), range(SCRAPES))
        results = [first, *concurrent, scrape_url(url, headers)]
    if clock_differs(clock_offset(results)):
        results += wait_for_new_date(results[-1].date, url, headers)
    sees_setup = any(sample.name.endswith(SETUP_FAULTS) for sample in first.samples)
    return Diagnosis(tuple(dict.fromkeys(findings(results, advice))), sees_setup)


def findings(results: Iterable[ScrapeResult], advice: Mapping[SetupFault, str] = ADVICE) -> Iterator[str]:
    """Yield what is wrong, from scrapes compared with one another and with the local clock, in order of time.

    The faults that the server itself found at its start are read from its counter of them; what to do about them is
    ``advice``.
    """
    results = tuple(results)
    start_times = {
        sample.value for result in results for sample in result.samples if sample.name == "process_start_time_seconds"
    }
    # One that counts alone shows that, and the others do not.
    counts_alone = any(
        sample.name.endswith("_workers_counting_alone") and sample.value
        for result in results
        for sample in result.samples
    )
    if counts_alone:
        yield (
            "worker_files: a process cannot use the folder for metrics and counts alone: its log says why, and what to"
            " do"
        )
    elif len(start_times) > 1 or counter_decreased(results):
        seen = (
            f"{len(start_times)} processes answered" if len(start_times) > 1 else "a counter went down between scrapes"
        )
        yield f"unshared_workers: {seen}: {advice['unshared_workers']}"
    offset = clock_offset(results)
    if clock_differs(offset):
        direction = "ahead of" if offset > 0 else "behind"
        yield f"clock: the server's is {abs(offset):.0f} s {direction} the one here: {advice['clock']}"
    for sample in results[-1].samples:
        if sample.name.endswith(SETUP_FAULTS) and sample.value:
            fault = sample.labels["fault"]
            yield f"{fault}: found by the server at its start: {advice.get(fault, 'see its log')}"  # type: ignore[call-overload]  # its keys are the label's values
        elif sample.name.endswith("_worker_file_faults_total") and sample.value:
            fault = sample.labels["fault"]
            if fault != "unshared":  # counted once and for all; whether it is so now is seen above
                yield (
                    f"worker_files: {sample.value:.0f} workers' files were {fault} and left out, since the first worker"
                    " started: the log names them; see that nothing else writes in their folder, that its disk has"
                    " room, and that all workers run one version"
                )


def counter_decreased(results: tuple[ScrapeResult, ...]) -> bool:
    """Return whether any counter was lower in a later scrape than in the first, which had ended before it began."""
    before = {(sample.name, *sample.labels.items()): sample.value for sample in results[0].samples}
    return any(
        sample.value < before.get((sample.name, *sample.labels.items()), 0.0)
        for result in results[1:]
        for sample in result.samples
        if sample.name.endswith(("_total", "_count", "_bucket"))
    )


def wait_for_new_date(date: float | None, url: str, headers: Mapping[str, str]) -> Iterator[ScrapeResult]:
    """Yield scrapes until the header ``Date``, if there is one, has changed: the new one is not an old one kept."""
    deadline = monotonic() + _DATE_RENEWAL_TIMEOUT
    while date is not None and monotonic() < deadline:
        sleep(0.05)
        result = scrape_url(url, headers)
        yield result
        if result.date != date:
            return


def clock_offset(results: Iterable[ScrapeResult]) -> float:
    """Return by how many seconds the server's clock is ahead of the local one; below 0 it is behind.

    The smallest offset of all scrapes counts: a ``Date`` may be seconds old, but a clock that is off is so every time.
    """
    return min(map(least_offset, results), key=abs, default=0.0)


def least_offset(result: ScrapeResult) -> float:
    """Return the least clock offset, in seconds, that explains the times in one scrape."""
    dates = [result.date] if result.date is not None else []
    event_times = [sample.value for sample in result.samples if sample.name.endswith("_last_event_timestamp_seconds")]
    ahead = max([moment - result.received_at for moment in (*dates, *event_times)], default=0.0)
    behind = max([result.sent_at - moment - _DATE_RESOLUTION for moment in dates], default=0.0)
    return ahead if ahead > 0 else min(-behind, 0.0)
