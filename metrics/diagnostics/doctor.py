"""``python -m metrics doctor``: ask a running server whether its numbers can be right, and say what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep

from .deployment import ADVICE, CLOCK_OFF
from .scrape_client import Look, look

SCRAPES = 24
AT_ONCE = 8  # so that more than one worker answers
_DATES_IN = 1.0  # the header Date has whole seconds
_RENEWED_WITHIN = 3.0  # seconds; uvicorn renews the header once a second, later where it is busy


def diagnose(url: str, headers: Mapping[str, str]) -> list[str]:
    """Say everything that is wrong with the numbers at an address, each with the way out.

    Raises:
        Unreachable: there is nothing to read.
    """
    first = look(url, headers)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        looks = [first, *threads.map(lambda _: look(url, headers), range(SCRAPES)), look(url, headers)]
    if abs(clock_off(looks)) > CLOCK_OFF:
        looks += until_renewed(looks[-1].date, url, headers)
    return list(dict.fromkeys(findings(looks)))


def findings(looks: Iterable[Look]) -> Iterator[str]:
    """Compare scrapes with one another and with the clock here, and read what the server found at its start."""
    looks = tuple(looks)
    begun = {sample.value for one in looks for sample in one.samples if sample.name == "process_start_time_seconds"}
    if len(begun) > 1 or any(went_down(looks)):
        seen = f"{len(begun)} processes answered" if len(begun) > 1 else "a counter went down between two scrapes"
        yield f"unshared_workers: {seen}: {ADVICE['unshared_workers']}"
    off = clock_off(looks)
    if abs(off) > CLOCK_OFF:
        way = "ahead of" if off > 0 else "behind"
        yield f"clock: the server's is {abs(off):.0f} s {way} the one here: {ADVICE['clock']}"
    last = looks[-1]
    for sample in last.samples:
        if sample.name.endswith("_setup_faults_total") and sample.value:
            fault = sample.labels["fault"]
            yield f"{fault}: told by the server at its start: {ADVICE.get(fault, 'see its log')}"  # type: ignore[call-overload]  # its keys are the label's values
        elif sample.name.endswith("_worker_file_faults_total") and sample.value:
            yield (
                f"worker_files: {sample.value:.0f} workers' files were {sample.labels['fault']} and left out: see that"
                " nothing else writes in their folder, that its disk has room, and that all workers run one version"
            )


def went_down(looks: tuple[Look, ...]) -> Iterator[bool]:
    """Tell of each counter that was lower in a scrape that began after another had ended."""
    before = {(sample.name, *sample.labels.items()): sample.value for sample in looks[0].samples}
    for one in looks[1:]:
        for sample in one.samples:
            if sample.name.endswith(("_total", "_count", "_bucket")):
                yield sample.value < before.get((sample.name, *sample.labels.items()), 0.0)


def until_renewed(date: float | None, url: str, headers: Mapping[str, str]) -> Iterator[Look]:
    """Look until the header, if there is one, says another time: that one is not old."""
    end = monotonic() + _RENEWED_WITHIN
    while date is not None and monotonic() < end:
        sleep(0.05)
        one = look(url, headers)
        yield one
        if one.date != date:
            return


def clock_off(looks: Iterable[Look]) -> float:
    """Give the least of all: a server's header may be seconds old, a clock that is off is so every time."""
    return min(map(clock_ahead, looks), key=abs, default=0.0)


def clock_ahead(one: Look) -> float:
    """Say by how much the server's clock is ahead of the one here at least; below 0 it is behind."""
    times = [one.date] if one.date is not None else []
    events = [sample.value for sample in one.samples if sample.name.endswith("_last_event_timestamp_seconds")]
    ahead = max([when - one.answered for when in (*times, *events)], default=0.0)
    behind = max([one.asked - when - _DATES_IN for when in times], default=0.0)
    return ahead if ahead > 0 else min(-behind, 0.0)
