"""A worker that stores exemplars, in this process or its own: ``python -m tests.support.exemplar_worker``."""

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
from tests.support.counter_worker import print_line

Sample = tuple[str, str]
"""The name of a sample and the value of its only label."""

FIRST, SECOND, QUICK, SLOW = SAMPLES = (
    ("calls_total", "a"), ("calls_total", "b"), ("took_bucket", "0.5"), ("took_bucket", "+Inf"),
)  # fmt: skip
"""The samples that have exemplars."""


class ExemplarWorker:
    """A worker with a counter and a histogram, and a registry that shows their totals."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.workers = Workers(folder, **options)
        self.registry = CollectorRegistry()
        self.calls, calls = self.workers.create_instruments(Counter, "calls", "c", ["who"], "total")
        self.took, took = self.workers.create_instruments(Histogram, "took", "t", [], "total", buckets=(0.5, 1))
        self.workers.attach(self.registry)
        for total in (calls, took):
            self.registry.register(total)

    @property
    def file(self) -> Path:
        """This worker's file."""
        path = self.workers._file.path
        assert path is not None
        return path

    def observe(self, trace_id: str, sample: Sample = FIRST) -> None:
        """Increment or observe once, with an exemplar, as applications do."""
        name, label = sample
        if name == "calls_total":
            self.calls.labels(label).inc(1, {"trace_id": trace_id})
        else:
            self.took.observe(min(float(label), 2.0), {"trace_id": trace_id})

    def value(self, sample: Sample) -> Any:
        """Return the value object of a sample, which has its exemplar."""
        name, label = sample
        if name == "calls_total":
            return children.values_of(self.calls.labels(label))[0]
        return children.values_of(self.took)[1:][("0.5", "1.0", "+Inf").index(label)]

    def exemplars(self) -> dict[tuple[str, ...], Exemplar]:
        """Return the exemplars of a scrape, by sample."""
        return {
            (sample.name, *sample.labels.values()): sample.exemplar
            for family in self.registry.collect()
            for sample in family.samples
            if sample.exemplar
        }

    def trace_ids(self) -> dict[tuple[str, ...], str]:
        """Return the trace ids in the exemplars of a scrape, by sample."""
        return {sample: exemplar.labels["trace_id"] for sample, exemplar in self.exemplars().items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.workers.close()


def observe_once(worker: ExemplarWorker) -> None:
    """Store an exemplar of each sample, with the trace id on the command line."""
    for sample in SAMPLES:
        worker.observe(sys.argv[3], sample)
    print_line("done")


def observe_forever(worker: ExemplarWorker) -> None:
    """Store exemplars until killed, and print the time of each."""
    for number in count():
        worker.observe(f"{os.getpid()} {number}")
        print_line(worker.value(FIRST).get_exemplar().timestamp)


def fork(worker: ExemplarWorker) -> None:
    """Store two exemplars; print those that a forked process has of its own, and store one in it."""
    worker.observe("parent's", FIRST)
    worker.observe("parent's", SECOND)
    if not os.fork():
        print_line([worker.value(sample).get_exemplar() for sample in SAMPLES])
        worker.observe("child's", SECOND)
        os._exit(0)
    os.wait()
    print_line(sorted(worker.trace_ids().values()))


def fill_the_disk(worker: ExemplarWorker) -> None:
    """Store an exemplar for which there is too little space, count on, and store one when there is space again."""
    worker.calls.labels("a").inc()
    worker.calls.labels("b").inc()
    _, hard_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (worker.file.stat().st_size + 300, hard_limit))
    worker.observe("no room")
    print_line(worker.trace_ids())
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard_limit, hard_limit))
    worker.took.observe(0.3)
    worker.observe("room again", SECOND)
    print_line(worker.trace_ids()[SECOND])


def main() -> None:
    """Run the scenario that the command line names, and exit as abruptly as if killed."""
    scenarios = {each.__name__: each for each in (observe_once, observe_forever, fork, fill_the_disk)}
    scenarios[sys.argv[2]](ExemplarWorker(Path(sys.argv[1])))
    os._exit(0)


if __name__ == "__main__":
    main()
