"""``python -m metrics doctor``: ask a running server whether its numbers can be right, and say what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from urllib.error import URLError
from urllib.request import Request, urlopen

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from .setup import ADVICE, CLOCK_OFF

SCRAPES = 24
AT_ONCE = 8  # so that more than one worker answers
_WITHIN = 10.0  # seconds
_DATES_IN = 1.0  # the header Date has whole seconds


class Unreachable(Exception):
    """The server's metrics cannot be read; the message says why."""


@dataclass(frozen=True)
class Look:
    """One scrape: when it was asked for and answered, the server's own time, and what it said."""

    asked: float
    answered: float
    date: float | None
    samples: tuple[Sample, ...]

    def total(self, name: str) -> float:
        """Add up the samples whose name ends so."""
        return sum(sample.value for sample in self.samples if sample.name.endswith(name))


def diagnose(url: str, headers: Mapping[str, str]) -> list[str]:
    """Say everything that is wrong with the numbers at an address, each with the way out.

    Raises:
        Unreachable: there is nothing to read.
    """
    first = look(url, headers)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        looks = [first, *threads.map(lambda _: look(url, headers), range(SCRAPES)), look(url, headers)]
    return list(dict.fromkeys(findings(looks)))


def look(url: str, headers: Mapping[str, str]) -> Look:
    """Scrape once, on a connection of its own: with several workers, any of them may answer.

    Raises:
        Unreachable: nobody answers, or not with metrics.
    """
    if not url.startswith(("http://", "https://")):
        raise Unreachable(f"{url} is no web address; give one such as http://127.0.0.1:8000/metrics")
    asked = time()
    try:
        with urlopen(Request(url, headers=dict(headers)), timeout=_WITHIN) as answer:  # noqa: S310  # seen to be http
            text, date = answer.read().decode(), answer.headers.get("Date")
        samples = tuple(sample for family in text_string_to_metric_families(text) for sample in family.samples)
    except (URLError, OSError, ValueError) as error:
        raise Unreachable(f"{url} cannot be read: {getattr(error, 'reason', None) or error}") from None
    return Look(asked, time(), parsedate_to_datetime(date).timestamp() if date else None, samples)


def findings(looks: Iterable[Look]) -> Iterator[str]:
    """Compare scrapes with one another and with the clock here, and read what the server found at its start."""
    looks = tuple(looks)
    begun = {sample.value for one in looks for sample in one.samples if sample.name == "process_start_time_seconds"}
    if len(begun) > 1 or any(went_down(looks)):
        seen = f"{len(begun)} processes answered" if len(begun) > 1 else "a counter went down between two scrapes"
        yield f"unshared_workers: {seen}: {ADVICE['unshared_workers']}"
    # The least of all: a busy server's header may be seconds old, a clock that is off is so every time.
    if (off := min(map(clock_off, looks), default=0.0)) > CLOCK_OFF:
        yield f"clock: the server's and the one here differ by {off:.0f} s: {ADVICE['clock']}"
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
    first, *_, last = looks
    before = {(sample.name, *sample.labels.items()): sample.value for sample in first.samples}
    for one in (*looks[1:-1], last):
        for sample in one.samples:
            if sample.name.endswith(("_total", "_count", "_bucket")):
                yield sample.value < before.get((sample.name, *sample.labels.items()), 0.0)


def clock_off(one: Look) -> float:
    """Say by how much the server's clock and the one here differ at least."""
    times = [one.date] if one.date is not None else []
    off = [max(one.asked - when - _DATES_IN, when - one.answered, 0.0) for when in times]
    ahead = [
        sample.value - one.answered for sample in one.samples if sample.name.endswith("_last_event_timestamp_seconds")
    ]
    return max([*off, *ahead, 0.0])
