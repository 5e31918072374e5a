"""A worker that gives exemplars, here or in a process of its own: ``python -m tests.support.exemplar_worker``."""

from __future__ import annotations

import os
import resource
import sys
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.samples import Exemplar

from metrics.fastpath import children
from metrics.multiprocess import Workers
from tests.support.counter_worker import say

FIRST, SECOND, QUICK, SLOW = NUMBERS = (
    ("calls_total", "a"), ("calls_total", "b"), ("took_bucket", "0.5"), ("took_bucket", "+Inf"),
)  # fmt: skip
"""The numbers that have exemplars, by their sample's name and its label's value."""


class ExemplarWorker:
    """A worker with two families, and a registry that shows them."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.workers = Workers(folder, **options)
        self.registry = CollectorRegistry()
        self.calls, calls = self.workers.create_instruments(Counter, "calls", "c", ["who"], "total")
        self.took, took = self.workers.create_instruments(Histogram, "took", "t", [], "total", buckets=(0.5, 1))
        self.workers.attach(self.registry)
        for shown in (calls, took):
            self.registry.register(shown)

    @property
    def file(self) -> Path:
        """Where this worker's numbers stand."""
        return self.workers._file.path

    def give(self, trace: str, number: tuple[str, str] = FIRST) -> None:
        """Count once, with an exemplar, as applications do."""
        name, value = number
        if name == "calls_total":
            self.calls.labels(value).inc(1, {"trace_id": trace})
        else:
            self.took.observe(min(float(value), 2.0), {"trace_id": trace})

    def number(self, number: tuple[str, str]) -> Any:
        """Reach what an exemplar is given to."""
        name, value = number
        if name == "calls_total":
            return children.values_of(self.calls.labels(value))[0]
        return children.values_of(self.took)[1:][("0.5", "1.0", "+Inf").index(value)]

    def shown(self) -> dict[tuple[str, ...], Exemplar]:
        """Scrape, and give the exemplars."""
        return {
            (sample.name, *sample.labels.values()): sample.exemplar
            for family in self.registry.collect()
            for sample in family.samples
            if sample.exemplar
        }

    def traces(self) -> dict[tuple[str, ...], str]:
        """Scrape, and give what the exemplars say."""
        return {number: exemplar.labels["trace_id"] for number, exemplar in self.shown().items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.workers.close()


def once(giver: ExemplarWorker) -> None:
    """Give each number one, under the name on the command line."""
    for number in NUMBERS:
        giver.give(sys.argv[3], number)
    say("done")


def for_ever(giver: ExemplarWorker) -> None:
    """Give them until killed, and say the time of each."""
    for each in count():
        giver.give(f"{os.getpid()} {each}")
        say(giver.number(FIRST).get_exemplar().timestamp)


def forking(giver: ExemplarWorker) -> None:
    """Give one, say what a forked process has of it, and let that give one too."""
    giver.give("parent's", FIRST)
    giver.give("parent's", SECOND)
    if not os.fork():
        say([giver.number(number).get_exemplar() for number in NUMBERS])
        giver.give("child's", SECOND)
        os._exit(0)
    os.wait()
    say(sorted(giver.traces().values()))


def on_a_full_disk(giver: ExemplarWorker) -> None:
    """Give one for which there is half the room, go on counting, and give one when there is room again."""
    giver.calls.labels("a").inc()
    giver.calls.labels("b").inc()
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (giver.file.stat().st_size + 300, most))
    giver.give("no room")
    say(giver.traces())
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    giver.took.observe(0.3)
    giver.give("room again", SECOND)
    say(giver.traces()[SECOND])


def main() -> None:
    """Do what the command line says, and leave no better than killed."""
    ways = {"once": once, "for_ever": for_ever, "forking": forking, "on_a_full_disk": on_a_full_disk}
    ways[sys.argv[2]](ExemplarWorker(Path(sys.argv[1])))
    os._exit(0)


if __name__ == "__main__":
    main()
