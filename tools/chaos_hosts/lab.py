"""The lab: a cluster of hosts, its model server, and records of all that is done to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from threading import Lock
from time import monotonic, sleep, time

import httpx
import psycopg

from tests.support.hosts import Cluster, Host, open_cluster
from tests.support.studio import WORKFLOWS

from .history import Cancellation, Counted, Fault, History, Submission
from .model_server import KEY, AttributingModelServer
from .recorder import Recorder
from .rules import RECOVERY_TIME, Violation, judge
from .scraper import Scraper

CONCURRENCY = 4  # runs at once on each host
COUNTING_TIME = 20.0  # seconds for counters and journals to be as the rows are
_PATIENCE = 60.0  # seconds for which a client tries to submit a run


class Lab:
    """A cluster, and what is done to it.

    Attributes:
        cluster: The hosts and their database.
        hosts: The hosts by name.
        model: Their model server.
        lease: The seconds of a lease.
        total: How many runs all hosts together may execute at once; None without such a limit.
        faults: The faults so far; those that last have no end yet.
    """

    def __init__(
        self, cluster: Cluster, model: AttributingModelServer, rng: Random, *, lease: float, total: int | None
    ) -> None:
        self.cluster = cluster
        self.hosts = cluster.hosts
        self.model = model
        self.lease = lease
        self.total = total
        self.faults: list[Fault] = []
        self._rng = rng
        self._recorder: Recorder | None = None
        self._scrapers = [Scraper(host) for host in cluster.hosts.values()]
        self._numbers = count(1)
        self._submissions: list[Submission] = []
        self._cancellations: list[Cancellation] = []
        self._crashes: set[str] = set()
        self._lock = Lock()

    @property
    def recorder(self) -> Recorder:
        """The recorder, from `start` on."""
        assert self._recorder is not None, "the lab is not started"
        return self._recorder

    @property
    def accepted(self) -> int:
        """How many runs were accepted."""
        return len(self._submissions)

    def start(self) -> None:
        """Start all hosts, one after the other: the first creates the tables."""
        for host in self.hosts.values():
            host.start()
        self._recorder = Recorder(self.cluster.database_url)
        for scraper in self._scrapers:
            scraper.start()

    def close(self) -> None:
        """Stop scraping, and close the connection."""
        for scraper in self._scrapers:
            scraper.stop()
        if self._recorder is not None:
            self._recorder.close()

    def submit(self, names: Sequence[str] = ()) -> str | None:
        """Submit a run as a careful client does, and return its id; None where nobody took it in a minute.

        It has a key, and is sent to another host whenever one refuses or does not answer in some seconds.

        Args:
            names: The hosts to choose from; all by default.
        """
        with self._lock:
            number = next(self._numbers)
            order = self._rng.sample(list(names or self.hosts), len(names or self.hosts))
        kind, key = WORKFLOWS[number % len(WORKFLOWS)], KEY.format(number)
        brief = {"brand": key, "product": "earbuds", "features": ["quiet"], "audience": "commuters"}
        deadline = monotonic() + _PATIENCE
        while monotonic() < deadline:
            for name in order:
                with suppress(httpx.HTTPError):
                    path = f"/api/v1/workflows/{kind}/runs"
                    response = self.hosts[name].post(path, brief, key=key, within=5.0)
                    if response.status_code == 202:
                        submission = Submission(key, response.json()["run_id"])
                        self._submissions.append(submission)
                        return submission.run
            sleep(0.2)
        return None

    def cancel_one(self) -> None:
        """Ask a host for the cancellation of a run that was accepted lately, whatever the answer is."""
        with self._lock:
            submission = self._rng.choice(self._submissions[-8:]) if self._submissions else None
            host = self._rng.choice(list(self.hosts.values()))
        if submission is not None:
            self.cancel(submission.run, host)

    def cancel(self, run: str, host: Host) -> Cancellation:
        """Ask a host for the cancellation of a run, and return how it answered."""
        asked = Cancellation(run, time(), 0)
        with suppress(httpx.HTTPError):
            asked = replace(asked, status=host.post(f"/api/v1/runs/{run}/cancel", within=15.0).status_code)
        asked = replace(asked, seconds=time() - asked.at)
        self._cancellations.append(asked)
        return asked

    @contextmanager
    def fault(self, kind: str, host: str = "") -> Iterator[None]:
        """Note a fault that lasts while the block runs: of one host, or of all where none is named."""
        with self._lock:
            place = len(self.faults)
            self.faults.append(Fault(kind, host, time()))
        try:
            yield
        finally:
            self.faults[place] = replace(self.faults[place], ended=time())

    def begin_fault(self, kind: str, host: str) -> None:
        """Note a fault that nothing puts right."""
        with self._lock:
            self.faults.append(Fault(kind, host, time()))

    def note_crashes(self) -> None:
        """Note the hosts that are dead though they have no fault."""
        broken = {fault.host for fault in self.faults if fault.ended > time()}
        for host in self.hosts.values():
            if not host.is_alive and host.name not in broken and "" not in broken:
                self._crashes.add(f"{host.name} ended: {host.output[-500:]}")

    def settle(self) -> list[Violation]:
        """Wait until all runs have ended and the counters are as the rows are; return what breaks a rule then.

        It gives up when nothing has changed for a lease and `RECOVERY_TIME`.
        """
        changed, seen = monotonic(), 0
        while self.recorder.unfinished() and monotonic() < changed + self.lease + RECOVERY_TIME:
            if (progress := self.recorder.progress()) != seen:
                changed, seen = monotonic(), progress
            sleep(0.2)
        deadline = monotonic() + COUNTING_TIME
        while (found := judge(self.history())) and monotonic() < deadline:
            sleep(1.0)
        return found

    def history(self) -> History:
        """Return all that is known now."""
        self.note_crashes()
        keys = self.recorder.keys()
        runs = {key: run for run, key in keys.items()}
        return History(
            lease=self.lease,
            total=self.total,
            hosts=tuple(self.hosts),
            at=time(),
            keys=keys,
            submissions=tuple(self._submissions),
            cancellations=tuple(self._cancellations),
            holders=self.recorder.holders(),
            changes=self.recorder.changes(),
            steps=self.recorder.steps(),
            calls=[replace(call, run=runs.get(call.run, call.run)) for call in self.model.finished_calls()],
            attempts=self.recorder.attempts(),
            faults=tuple(self.faults),
            counted=[self._counted(scraper) for scraper in self._scrapers],
            crashes=sorted(self._crashes),
        )

    def _counted(self, scraper: Scraper) -> Counted:
        if not scraper.host.is_alive:
            return replace(scraper.last, is_alive=False)
        return scraper.scrape()

    def status(self) -> str:
        """Return a line about how far it is."""
        try:
            unfinished = str(self.recorder.unfinished())
        except psycopg.OperationalError:
            unfinished = "?"
        broken = [f"{fault.host or 'database'}: {fault.kind}" for fault in self.faults if fault.ended > time()]
        return (
            f"{self.accepted} runs accepted, {unfinished} unfinished, {len(self.model.calls)} model calls, "
            f"{len(self.faults)} faults; now {', '.join(broken) or 'none'}"
        )


@contextmanager
def open_lab(
    names: Sequence[str], seed: int, *, lease: float, step_time: float, total: int | None = None, **settings: object
) -> Iterator[Lab]:
    """Yield a lab that is not started; its processes are killed and its files removed when the block ends.

    Args:
        names: The names of the hosts.
        seed: Where all choices come from.
        lease: The seconds of a lease.
        step_time: The seconds that a model call takes, half as many to half as many again.
        total: How many runs all hosts together may execute at once; None for no such limit.
        settings: More settings of the studio.
    """
    with ExitStack() as resources:
        directory = resources.enter_context(TemporaryDirectory(prefix="hosts-", ignore_cleanup_errors=True))
        model = resources.enter_context(AttributingModelServer(Random(seed), step_time))
        own: dict[str, object] = {
            "lease": lease,
            "concurrency": CONCURRENCY,
            "sweep_interval": 1,
            "llm_timeout": 20,
            **settings,
        }
        if total is not None:
            own["total_concurrency"] = total
        cluster = resources.enter_context(open_cluster(Path(directory), names, model.base_url, **own))
        lab = Lab(cluster, model, Random(seed), lease=lease, total=total)
        resources.callback(lab.close)
        yield lab
